#!/usr/bin/env bash
# transformers 5 takes `vocab_file` for T5's tokenizer and does not read it: every word becomes <unk>, without a word.
# transformers 4's fast class reads it, but cuts the first word of a text as if it stood inside one.
#
# Guess:    T5Tokenizer(vocab_file="spiece.model") gives the ids that SentencePiece gives for the same file and the end
#           token, or raises where it cannot read it, in both versions and for both names of the class.
# Versions: transformers 4.57.6 and 5.24.0, sentencepiece 0.2.1, protobuf 6.33.0.
# Source:   transformers 5, models/t5/tokenization_t5.py: the class is made from `vocab`, and starts with three special
#           tokens and "▁" where that is None; `vocab_file` is left to the keyword arguments. In 4.57.6,
#           T5TokenizerFast converts the file without the prefix space that `legacy` stands for.
# Behaviour: call                                   4.57.6                      5.24.0
#           T5Tokenizer(vocab_file=F)               SentencePiece's ids         <unk> for every word
#           T5TokenizerFast(vocab_file=F)           first word without "▁"      <unk> for every word
#           from_pretrained(folder with F)          SentencePiece's ids         SentencePiece's ids
#           None of the calls warns of the file. A path that does not exist is taken by 5.24.0, too.
# Why it matters: states of <unk> are finite and look like any others, so what is computed from them (an embedding, an edit
#           of a model, an index) is of nothing, and stays so unnoticed. `from_pretrained` on the same folder is right.
#
# Output seen: the table above, as lines that end with "as recorded".
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat > "$tmp/probe.py" <<'PY'
import io
import json
import sys
import warnings
from pathlib import Path

import sentencepiece
import transformers

folder = Path(sys.argv[1])
words = ["a photo of the cat", "van gogh style", "red house painting by the sea"]
made = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(words * 40), model_writer=made, vocab_size=60, hard_vocab_limit=False,
    pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
)
file = folder / "spiece.model"
file.write_bytes(made.getvalue())
reference = sentencepiece.SentencePieceProcessor(model_file=str(file))
texts = ("cat", "a red cat", "van gogh")
wanted = [[*reference.encode(text), 1] for text in texts]


def read(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            tokenizer = make()
        except Exception as error:
            return f"raises {type(error).__name__}"
    found = [tokenizer(text)["input_ids"] for text in texts]
    told = any("spiece" in str(one.message) or "vocab_file" in str(one.message) for one in caught)
    if found == wanted:
        said = "SentencePiece's ids"
    elif all(set(ids) <= {1, 2, 3} for ids in found):
        said = "<unk> for every word"
    elif all(ids[-len(right) + 1 :] == right[1:] or len(ids) > len(right) for ids, right in zip(found, wanted)):
        said = "other ids at the beginning"
    else:
        said = f"other ids: {found}"
    return said + (" (warned)" if told else "")


slow, fast = transformers.T5Tokenizer, transformers.T5TokenizerFast
print(json.dumps({
    "T5Tokenizer(vocab_file)": read(lambda: slow(vocab_file=str(file), extra_ids=0)),
    "T5TokenizerFast(vocab_file)": read(lambda: fast(vocab_file=str(file), extra_ids=0)),
    "from_pretrained(folder)": read(lambda: fast.from_pretrained(str(folder), extra_ids=0)),
    "no such file": read(lambda: slow(vocab_file=str(folder / "none.model"), extra_ids=0)),
}))
PY
for version in 4.57.6 5.24.0; do
  "${PYTHON:-python3}" -m venv "$tmp/$version"
  "$tmp/$version/bin/python" -m pip install -qq "transformers==$version" sentencepiece==0.2.1 protobuf==6.33.0
  mkdir "$tmp/files-$version"
  "$tmp/$version/bin/python" "$tmp/probe.py" "$tmp/files-$version" 2>/dev/null > "$tmp/$version.json"
done
"${PYTHON:-python3}" - "$tmp/4.57.6.json" "$tmp/5.24.0.json" <<'PY'
import json
import sys
from pathlib import Path

recorded = (
    {
        "T5Tokenizer(vocab_file)": "SentencePiece's ids",
        "T5TokenizerFast(vocab_file)": "other ids at the beginning",
        "from_pretrained(folder)": "SentencePiece's ids",
        "no such file": "raises OSError",
    },
    {
        "T5Tokenizer(vocab_file)": "<unk> for every word",
        "T5TokenizerFast(vocab_file)": "<unk> for every word",
        "from_pretrained(folder)": "SentencePiece's ids",
        "no such file": "<unk> for every word",
    },
)
changed = False
for path, expected in zip(sys.argv[1:], recorded):
    seen = json.loads(Path(path).read_text())
    for call, said in seen.items():
        same = said == expected[call]
        changed |= not same
        print(f"{Path(path).stem:8} {call:28} {said:28} {'as recorded' if same else 'CHANGED'}")
sys.exit(changed)
PY
