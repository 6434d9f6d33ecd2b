#!/usr/bin/env bash
# With an embedding's token in the prompt, CLIP's pooled vector does not see the words after it.
#
# Guess:    the pooled output of transformers' CLIP text model is taken at the prompt's end token, so every word counts,
#           with and without tokens added by diffusers' load_textual_inversion.
# Versions: transformers 5.24.0, diffusers 0.42.1, tokenizers 0.23.3, torch 2.13.0 (runs a text model of 2 layers; CPU).
# Source:   transformers/models/clip/modeling_clip.py, CLIPTextModel.forward: if config.eos_token_id is 2, the position is
#           the largest id of the prompt; its comment says that such a config (written before pull request
#           24773 of huggingface/transformers) cannot work correctly with added tokens.
#           diffusers/loaders/textual_inversion.py, load_textual_inversion: adds tokens, whose ids are the largest;
#           it does not look at eos_token_id, and says nothing.
# Behaviour: with eos_token_id 2 the pooled vector is the last hidden state at the last vector of the embedding.
#           Attention is causal, so the words after it have no influence at all: the difference between
#           "<dog> red" and "<dog> blue" is exactly 0. With the end token's true id in the config it is the end's.
#           The per-token output, which feeds cross-attention, is right in both.
# Why it matters: models that also take the pooled vector (SDXL, SD3, Flux) get one that stops at the embedding, where the
#           configuration is old. Measures of an edit that are taken from pooled vectors find that words have no
#           effect. Set config.eos_token_id to the tokenizer's before loading, or pool by hand.
#
# Output seen (position of the pooled vector, position of the end token, how far two endings are apart):
#   eos_token_id 2,   "<dog> red" / "<dog> blue"   3  7  0
#   eos_token_id 2,   "a red" / "a blue"           5  5  more than 0
#   eos_token_id 513, "<dog> red" / "<dog> blue"   7  7  more than 0
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  diffusers==0.42.1 peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 \
  safetensors==0.8.0 tokenizers==0.23.3 huggingface_hub==2.4.0 \
  torch==2.13.0 numpy==2.4.6 pillow==13.0.0 \
  typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 jinja2==3.1.6 \
  markupsafe==3.0.4 filelock==4.3.1 fsspec==2026.9.0 packaging==26.4 \
  pyyaml==6.0.4 regex==2026.11.19 requests==2.34.2 urllib3==2.8.0 \
  charset-normalizer==3.5.3 certifi==2026.10.19.post1 idna==3.20 \
  httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 h11==0.16.0 \
  truststore==0.10.5 tqdm==4.70.1 psutil==7.2.2 importlib_metadata==10.2.0 \
  zipp==4.1.2 setuptools==84.2.1
cd "$tmp"
HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import logging
import sys

import torch
from diffusers.loaders import TextualInversionLoaderMixin
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LENGTH, END = 16, 513
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
words = letters + [c + "</w>" for c in letters] + ["<|startoftext|>", "<|endoftext|>"]


class Host(TextualInversionLoaderMixin):
    hf_device_map = None

    def __init__(self, end):
        self.tokenizer = CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=LENGTH)
        torch.manual_seed(0)
        self.text_encoder = CLIPTextModel(CLIPTextConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=len(words),
            max_position_embeddings=LENGTH, bos_token_id=END - 1, eos_token_id=end, pad_token_id=END)).eval()
        self.components = {"tokenizer": self.tokenizer, "text_encoder": self.text_encoder}
        self.load_textual_inversion({"string_to_param": {"*": torch.randn(3, 32)}, "name": "<dog>"}, token="<dog>")

    def read(self, prompt):
        ids = self.tokenizer(self.maybe_convert_prompt(prompt, self.tokenizer), padding="max_length", truncation=True,
                             return_tensors="pt").input_ids
        with torch.no_grad():
            out = self.text_encoder(ids)
        at = [n for n in range(LENGTH) if torch.equal(out.pooler_output[0], out.last_hidden_state[0, n])]
        return out.pooler_output[0], at, ids[0].tolist().index(END)


def case(end, one, other):
    host = Host(end)
    (first, at, ends), (second, _, _) = host.read(one), host.read(other)
    return at, ends, "0" if torch.equal(first, second) else "more than 0"


logging.disable(logging.WARNING)
recorded = {
    (2, "<dog> r e d", "<dog> b l u"): ([3], 7, "0"),
    (2, "a r e d", "a b l u"): ([5], 5, "more than 0"),
    (END, "<dog> r e d", "<dog> b l u"): ([7], 7, "more than 0"),
}
seen = {key: case(*key) for key in recorded}
for key, value in seen.items():
    print(f"eos_token_id {key[0]:3}  {key[1]} / {key[2]}  {value}  "
          f"{'as recorded' if value == recorded[key] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
