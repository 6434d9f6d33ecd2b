#!/usr/bin/env bash
# transformers reads T5's vocabulary from a GGUF file without the table of letters that count as the same, though the file has
# it: decomposed accents, ligatures and full-width letters become <unk>, or an accent is lost, with no warning.
#
# Guess:    AutoTokenizer.from_pretrained(…, gguf_file=…) cuts texts as the SentencePiece model does that the file's vocabulary
#           was taken from, since pieces, scores and precompiled_charsmap are all in the file.
# Versions: transformers 5.24.0 with tokenizers 0.23.1, and 4.57.6 with 0.22.2; gguf 0.19.0, sentencepiece 0.2.1, torch 2.13.0
#           (both versions ask for it before they read a GGUF file).
# Source:   5.24.0, integrations/gguf/gguf_tokenizer_mapping.py: precompiled_charsmap is among what is taken from the file,
#           and unigram_tokenizer makes T5Tokenizer of pieces and scores alone, which then has no normalizer. 4.57.6
#           puts two others there, which only write ▁ for spaces.
# Behaviour: text                               SentencePiece               5.24.0                 4.57.6
#           "red cat", "café" (composed)        -                           the same               the same
#           "café" (e and U+0301)               as composed                 e, then <unk>          e, then <unk>
#           "ﬁsh" (U+FB01)                      as "fish"                   <unk>, "sh"            <unk>, "sh"
#           "ｒｅｄ" (full-width)                 as "red"                    <unk>                  <unk>
#           "red", U+00A0, "cat"                as "red cat"                the same               <unk> for the space
#           "  red   cat "                      as "red cat"                the same               a ▁ for every space
# Why it matters: names of artists are pasted: macOS file names and many PDFs have accents decomposed, and PDFs ligatures.
#           Read from the GGUF of an encoder, a prompt with "Cézanne" says <unk> where the same encoder's own files read
#           é, and two names that differ there alone are one. ComfyUI-GGUF rebuilds UMT5's vocabulary without the
#           table too (by its source). Compose texts (NFKC) before they are cut, or take the vocabulary from
#           spiece.model or tokenizer.json.
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

import gguf
import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from transformers import AutoTokenizer

TEXTS = {
    "plain": "red cat", "composed accent": "caf\u00e9", "decomposed accent": "cafe\u0301", "ligature": "\ufb01sh",
    "full-width": "\uff52\uff45\uff44", "no-break space": "red\u00a0cat", "many spaces": "  red   cat ",
}
made = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(["a red cat house painting fish first office caf\u00e9 na\u00efve"] * 50), model_writer=made,
    vocab_size=120, hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
)
proto = sentencepiece_model_pb2.ModelProto()
proto.ParseFromString(made.getvalue())
cut = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())

writer = gguf.GGUFWriter(f"{sys.argv[1]}/t5.gguf", "t5")
writer.add_context_length(512)
writer.add_embedding_length(8)
writer.add_feed_forward_length(16)
writer.add_block_count(1)
writer.add_head_count(2)
writer.add_key_length(4)
writer.add_value_length(4)
writer.add_layer_norm_eps(1e-6)
writer.add_relative_attn_buckets_count(32)
writer.add_decoder_start_token_id(0)
writer.add_vocab_size(len(proto.pieces))
writer.add_tokenizer_model("t5")
writer.add_tokenizer_pre("default")
writer.add_token_list([piece.piece for piece in proto.pieces])
writer.add_token_scores([piece.score for piece in proto.pieces])
writer.add_token_types([piece.type for piece in proto.pieces])
writer.add_add_space_prefix(True)
writer.add_remove_extra_whitespaces(True)
writer.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
writer.add_eos_token_id(1)
writer.add_pad_token_id(0)
writer.add_unk_token_id(2)
writer.add_tensor("token_embd.weight", np.zeros((len(proto.pieces), 8), "float32"))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    loaded = AutoTokenizer.from_pretrained(sys.argv[1], gguf_file="t5.gguf")
found = {}
for what, text in TEXTS.items():
    wanted, ids = cut.encode(text), loaded(text)["input_ids"][:-1]
    unknown = ids.count(2)
    found[what] = "the same" if ids == wanted else f"<unk> x {unknown}" if unknown else "other pieces"
found["SentencePiece knows all of it"] = str(not any(2 in cut.encode(text) for text in TEXTS.values()))
found["a warning speaks of it"] = str(any("normal" in str(one.message) or "charsmap" in str(one.message) for one in caught))
print(json.dumps(found))
PY
for pair in 5.24.0,0.23.1 4.57.6,0.22.2; do
  version="${pair%,*}"
  "${PYTHON:-python3}" -m venv "$tmp/$version"
  "$tmp/$version/bin/python" -m pip install -qq "transformers==$version" "tokenizers==${pair#*,}" \
    gguf==0.19.0 sentencepiece==0.2.1 protobuf==7.36.2 numpy==2.4.6
  "$tmp/$version/bin/python" -m pip install -qq --no-deps \
    torch==2.13.0 typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 networkx==3.6.1 jinja2==3.1.6 markupsafe==3.0.3
  mkdir "$tmp/files-$version"
  "$tmp/$version/bin/python" "$tmp/probe.py" "$tmp/files-$version" 2>/dev/null | tail -n 1 > "$tmp/$version.json"
done
"${PYTHON:-python3}" - "$tmp/5.24.0.json" "$tmp/4.57.6.json" <<'PY'
import json
import sys
from pathlib import Path

alike = {
    "plain": "the same", "composed accent": "the same", "decomposed accent": "<unk> x 1", "ligature": "<unk> x 1",
    "full-width": "<unk> x 1", "no-break space": "the same", "many spaces": "the same",
    "SentencePiece knows all of it": "True", "a warning speaks of it": "False",
}
recorded = (alike, alike | {"no-break space": "<unk> x 1", "many spaces": "other pieces"})
same = True
for version, file, wanted in zip(("5.24.0", "4.57.6"), sys.argv[1:], recorded):
    found = json.loads(Path(file).read_text())
    for what, said in wanted.items():
        same &= found[what] == said
        end = "as recorded" if found[what] == said else f"recorded: {said}"
        print(f"transformers {version}, {what:30} {found[what]:10} {end}")
sys.exit(0 if same else 1)
PY
