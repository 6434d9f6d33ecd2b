#!/usr/bin/env bash
# transformers 5 reads a byte-level vocabulary with its Llama class as if it were SentencePiece's: a text in another script
# than Latin comes out as no token at all, with no <unk>, no error and no warning. So a prompt says what the empty one says.
#
# Guess:    A byte-level vocabulary has a token for every byte, so LlamaTokenizerFast.from_pretrained on one (Llama 3's,
#           as HunyuanVideo's and HiDream's text encoders use it) gives at least one token for every text that is not
#           empty, and decodes it back to the text, in both versions.
# Versions: transformers 4.57.6 with tokenizers 0.22.2, and 5.24.0 with 0.23.1.
# Source:   transformers 5, models/llama/tokenization_llama.py: the class puts a Metaspace pre-tokenizer in the place of what
#           tokenizer.json declares. Letters that are not written as such in the vocabulary, whose bytes are, match
#           nothing there; a BPE model without an unknown token leaves them out.
# Behaviour: text                    4.57.6, and PreTrainedTokenizerFast in both     LlamaTokenizerFast in 5.24.0
#           "red cat"                comes back                                       without its space
#           "葛飾北斎"                 comes back                                       no token
#           "é"                       comes back                                       looks right, and is another token: byte E9
#           "😀"                      comes back                                       no token
# Why it matters: the space is known (transformers issue 45488); that whole names vanish is not told there. Whoever computes
#           something from a name's states (an erased concept, an index, a similarity) then computes it of the empty
#           prompt, and whoever filters prompts by their tokens lets them through as empty ones. PreTrainedTokenizerFast
#           on the same folder is right. A name without tokens is refused in this project since.
#
# Output seen: the table above, as lines that end with "as recorded".
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat > "$tmp/probe.py" <<'PY'
import json
import sys
import warnings
from pathlib import Path

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

folder = Path(sys.argv[1])
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|begin|>"], show_progress=False
)
tokenizer.train_from_iterator(["red cat red dog house painting"] * 20, trainer)
tokenizer.save(str(folder / "tokenizer.json"))
config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<|begin|>", "eos_token": "<|begin|>"}
(folder / "tokenizer_config.json").write_text(json.dumps(config))


def read(kind):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = kind.from_pretrained(str(folder))
    found = {}
    for text in ("red cat", "葛飾北斎", "é", "😀"):
        ids = loaded(text, add_special_tokens=False)["input_ids"]
        back = loaded.decode(ids, clean_up_tokenization_spaces=False)
        if not ids:
            found[text] = "no token"
        elif back == text:
            right = tokenizer.encode(text).ids
            found[text] = "comes back" if ids == right else "looks right, other tokens"
        else:
            found[text] = "without its space" if back == text.replace(" ", "") else "other letters"
    return found | {"warned": any("script" in str(one.message) or "pre" in str(one.message) for one in caught)}


print(json.dumps({
    "LlamaTokenizerFast": read(transformers.LlamaTokenizerFast),
    "PreTrainedTokenizerFast": read(transformers.PreTrainedTokenizerFast),
}))
PY
for pair in 4.57.6,0.22.2 5.24.0,0.23.1; do
  version="${pair%,*}"
  "${PYTHON:-python3}" -m venv "$tmp/$version"
  "$tmp/$version/bin/python" -m pip install -qq "transformers==$version" "tokenizers==${pair#*,}"
  mkdir "$tmp/files-$version"
  "$tmp/$version/bin/python" "$tmp/probe.py" "$tmp/files-$version" 2>/dev/null > "$tmp/$version.json"
done
"${PYTHON:-python3}" - "$tmp/4.57.6.json" "$tmp/5.24.0.json" <<'PY'
import json
import sys
from pathlib import Path

right = {text: "comes back" for text in ("red cat", "葛飾北斎", "é", "😀")} | {"warned": False}
lost = {
    "red cat": "without its space",
    "葛飾北斎": "no token",
    "é": "looks right, other tokens",
    "😀": "no token",
    "warned": False,
}
recorded = (
    {"LlamaTokenizerFast": right, "PreTrainedTokenizerFast": right},
    {"LlamaTokenizerFast": lost, "PreTrainedTokenizerFast": right},
)
same = True
for version, file, wanted in zip(("4.57.6", "5.24.0"), sys.argv[1:], recorded):
    found = json.loads(Path(file).read_text())
    for kind, said in wanted.items():
        for text, what in said.items():
            agrees = found[kind][text] == what
            same &= agrees
            print(f"transformers {version}, {kind}, {text!r}: {found[kind][text]} "
                  f"({'as recorded' if agrees else f'recorded: {what}'})")
sys.exit(0 if same else 1)
PY
