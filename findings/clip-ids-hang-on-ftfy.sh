#!/usr/bin/env bash
# The CLIP ids of a name hang on whether ftfy is installed, and transformers 5 never uses it.
#
# Guess:    one vocabulary, one class name (CLIPTokenizer): one list of ids for a name, whatever else is installed.
# Versions: transformers 4.57.6 (CLIPTokenizer and CLIPTokenizerFast) without and with ftfy 6.3.1, transformers 5.24.0
#           (CLIPTokenizer, ftfy installed), tokenizers 0.22.2 and 0.23.3; the vocabulary is the one in the wheel of
#           open_clip_torch 3.3.0 (bpe_simple_vocab_16e6.txt.gz). No torch. transformers 5.0.0 has no ftfy in
#           that file either, by its source; it was not run.
# Source:   transformers 4.57.6, models/clip/tokenization_clip.py, CLIPTokenizer.__init__ and _tokenize: ftfy if it can
#           be imported, else BasicTokenizer(strip_accents=False, do_split_on_punc=False), which sets every CJK
#           character apart; tokenization_clip_fast.py: NFC and lower case only.
#           transformers 5.24.0, models/clip/tokenization_clip.py: NFC and lower case, no ftfy.
#           open_clip_torch 3.3.0, open_clip/tokenizer.py, basic_clean: ftfy always, as in CLIP's own code.
# Behaviour: two lists of ids for each of the first five names. Typographic quotes and full-width letters are plain
#           letters with ftfy and byte pieces without; CJK characters are one word with ftfy and in both
#           tokenizers-based classes, single words in the slow class without it; a capital sigma at a word's end is
#           lower-cased by Python to the final form and by tokenizers not. Accented Latin letters, composed or
#           not, agree everywhere.
# Why it matters: a prompt, a list of concepts or a textual comparison made under transformers 4 with ftfy means other
#           tokens under 5 (or in an environment without ftfy), with no change of file or code. An edit solved for
#           one list of ids does not answer the other. Replace typographic quotes and full-width letters before
#           tokenising, or store the ids beside the name.
#
# Output seen (s: 4.57.6 slow, s+: the same with ftfy, f: 4.57.6 fast, 5: 5.24.0; number of tokens):
#   Georgia O’Keeffe        s+ 7    s f 5: 8
#   “Banksy”                s+ 3    s f 5: 5
#   Ｖａｎ Ｇｏｇｈ              s+ 2    s f 5: 21
#   葛飾北斎                  s+ f 5: 11    s: 11, others
#   ΘΕΟΦΙΛΟΣ                s+ s: 16      f 5: 16, others
#   Paul Cézanne, decomposed; İbrahim Çallı; Nguyễn: one list
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
shared="numpy==2.2.6 pyyaml==6.0.4 regex==2026.11.19 requests==2.34.2 urllib3==2.8.0 charset-normalizer==3.5.3
  certifi==2026.10.19.post1 idna==3.20 filelock==4.3.1 fsspec==2026.9.0 packaging==26.4 tqdm==4.70.1
  safetensors==0.8.0 typing_extensions==4.16.0"
for one in four five; do
  "${PYTHON:-python3}" -m venv "$tmp/$one"
done
# shellcheck disable=SC2086
"$tmp/four/bin/python" -m pip install -qq --no-deps $shared \
  transformers==4.57.6 tokenizers==0.22.2 huggingface_hub==0.36.2
# shellcheck disable=SC2086
"$tmp/five/bin/python" -m pip install -qq --no-deps $shared \
  transformers==5.24.0 tokenizers==0.23.3 huggingface_hub==2.4.0 httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 \
  h11==0.16.0 truststore==0.10.5 ftfy==6.3.1 wcwidth==0.9.4 open_clip_torch==3.3.0
cd "$tmp"
cat > ids.py <<'PY'
import json
import pathlib
import sys

import transformers

NAMES = ["Georgia O\u2019Keeffe", "\u201cBanksy\u201d", "\uff36\uff41\uff4e \uff27\uff4f\uff47\uff48",
         "\u845b\u98fe\u5317\u658e", "\u0398\u0395\u039f\u03a6\u0399\u039b\u039f\u03a3", "Paul Ce\u0301zanne",
         "\u0130brahim \u00c7all\u0131", "Nguy\u1ec5n"]
transformers.logging.set_verbosity_error()
kind, out = sys.argv[1:]
reader = getattr(transformers, kind).from_pretrained("clip")
pathlib.Path(out).write_text(json.dumps({name: reader(name)["input_ids"][1:-1] for name in NAMES}))
PY
"$tmp/five/bin/python" - <<'PY'
import gzip
import importlib.metadata
import json
import pathlib

packed = next(f for f in importlib.metadata.files("open_clip_torch") if f.name == "bpe_simple_vocab_16e6.txt.gz")
merges = gzip.decompress(pathlib.Path(packed.locate()).read_bytes()).decode().split("\n")[1:48895]
shown = [*range(33, 127), *range(161, 173), *range(174, 256)]  # the byte alphabet of GPT-2 and CLIP
letters = [chr(b) for b in shown] + [chr(256 + n) for n in range(256 - len(shown))]
words = letters + [c + "</w>" for c in letters] + [m.replace(" ", "") for m in merges]
words += ["<|startoftext|>", "<|endoftext|>"]
assert len(words) == 49408
pathlib.Path("clip").mkdir()
pathlib.Path("clip/vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
pathlib.Path("clip/merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
PY
export HF_HUB_OFFLINE=1
four/bin/python ids.py CLIPTokenizer s.json 2>/dev/null
four/bin/python ids.py CLIPTokenizerFast f.json 2>/dev/null
four/bin/python -m pip install -qq --no-deps ftfy==6.3.1 wcwidth==0.9.4
four/bin/python ids.py CLIPTokenizer s+.json 2>/dev/null
five/bin/python ids.py CLIPTokenizer 5.json 2>/dev/null
five/bin/python - <<'PY'
import json
import pathlib
import sys

found = {kind: json.loads(pathlib.Path(f"{kind}.json").read_text()) for kind in ("s+", "s", "f", "5")}
recorded = {
    "Georgia O\u2019Keeffe": {"s+": "2549 8864 334 262 643 1490 873", "s f 5": "2549 8864 334 728 503 643 1490 873"},
    "\u201cBanksy\u201d": {"s+": "257 33350 257", "s f 5": "728 506 33350 728 507"},
    "\uff36\uff41\uff4e \uff27\uff4f\uff47\uff48": {
        "s+": "2451 19697",
        "s f 5": "171 121 244 171 121 223 171 121 492 171 121 229 171 121 237 171 121 229 171 121 486"},
    "\u845b\u98fe\u5317\u658e": {"s+ f 5": "164 239 249 165 96 122 161 234 245 29032 492",
                                 "s": "164 239 505 165 96 378 161 234 501 29032 492"},
    "\u0398\u0395\u039f\u03a6\u0399\u039b\u039f\u03a3": {
        "s+ s": "138 116 138 113 138 123 139 228 138 117 138 119 138 123 139 480",
        "f 5": "138 116 138 113 138 123 139 228 138 117 138 119 138 123 139 481"},
    "Paul Ce\u0301zanne": {"s+ s f 5": "2597 36454 89 4083"},
    "\u0130brahim \u00c7all\u0131": {"s+ s f 5": "328 16384 1195 1269 10067 813 41901"},
    "Nguy\u1ec5n": {"s+ s f 5": "77 10008 157 119 227 333"},
}
seen = {}
for name in found["5"]:
    groups = {}
    for kind, ids in found.items():
        groups.setdefault(" ".join(map(str, ids[name])), []).append(kind)
    seen[name] = {" ".join(kinds): ids for ids, kinds in groups.items()}
for name, value in seen.items():
    print(f"{name} ({ascii(name)})  {'as recorded' if value == recorded.get(name) else 'CHANGED'}")
    for kinds, ids in value.items():
        print(f"    {kinds:9} {ids}")
sys.exit(seen != recorded)
PY
