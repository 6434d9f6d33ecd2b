#!/usr/bin/env bash
# fuse_lora(lora_scale=0.5) halves the LoRA for good; unfuse_lora() can leave a LoRA of -0.5 in the model.
#
# Guess:    unfuse_lora() gives back what was before fuse_lora(): the model's weights and the LoRA's strength.
# Versions: diffusers 0.42.1, peft 0.21.2, transformers 5.24.0, torch 2.13.0 (holds the weights; CPU is enough).
#           diffusers 0.27.2 and 0.35.2 have the same scale_layer call by their sources; only 0.42.1 was run.
# Source:   diffusers/loaders/peft.py, _fuse_lora_apply: calls PEFT's scale_layer(lora_scale), which multiplies the
#           strength that is there; _unfuse_lora_apply only calls unmerge(). peft/tuners/lora/layer.py, unmerge:
#           subtracts the change computed with the strength of now, not with that of the merge.
#           The docstrings of fuse_lora and unfuse_lora (loaders/lora_base.py) say "controls how much to influence
#           the outputs" and "reverses the effect".
# Behaviour: 1. Every fuse_lora(lora_scale=s) multiplies the LoRA's strength by s; unfuse_lora() does not
#           divide. Fusing at 0.5 again and again gives 0.5, 0.25, 0.125, and the unfused LoRA runs at these too.
#           2. set_adapters() between fusing and unfusing is accepted and changes nothing that is fused, but
#           unfuse_lora() then subtracts the new strength: with 0.5 fused and 1 set, the base model
#           is left with the LoRA at -0.5. Nothing is said: no error, no warning, nothing logged at warning level.
#           set_adapters(name, strength) after unfusing sets the strength itself, and so mends 1.
# Why it matters: pictures "at 0.5" made in a loop over seeds or scales are at other strengths from the second one
#           on, and a base model kept in memory is no longer the base model. Whoever compares an edit, fused, with
#           the original has to reload it or compare with kept weights.
#
# Output seen:
#   strength in the weights when fused at 0.5, three times      0.5  0.25  0.125
#   strength of the LoRA after each unfusing                    0.5  0.25  0.125
#   in the weights: fused 0.5, set to 1, unfused                0.5  0.5  -0.5
#   warnings                                                    0
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
import warnings

import torch
from diffusers import UNet2DConditionModel

heard = []


class Ear(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())


torch.manual_seed(0)
model = UNet2DConditionModel(
    sample_size=8, layers_per_block=1, block_out_channels=(32, 64), norm_num_groups=8, cross_attention_dim=32,
    attention_head_dim=8, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
weight = model.get_submodule(name).weight.detach().clone()
down, up = torch.randn(4, weight.shape[1]), torch.randn(weight.shape[0], 4)
model.load_lora_adapter({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, prefix=None, adapter_name="one")
layer = model.get_submodule(name)
logging.getLogger("diffusers").addHandler(Ear(level=logging.WARNING))


def in_weights():
    moved, by = layer.base_layer.weight.detach() - weight, up @ down
    return round(float((moved * by).sum() / (by * by).sum()), 3) + 0.0


fused, after, mixed = [], [], []
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(3):
        model.fuse_lora(lora_scale=0.5)
        fused.append(in_weights())
        model.unfuse_lora()
        after.append(layer.scaling["one"])
        assert in_weights() == 0
    model.set_adapters("one", 1.0)
    model.fuse_lora(lora_scale=0.5)
    mixed.append(in_weights())
    model.set_adapters("one", 1.0)
    mixed.append(in_weights())
    model.unfuse_lora()
    mixed.append(in_weights())

seen = {"in the weights when fused at 0.5, three times": fused, "of the LoRA after each unfusing": after,
        "in the weights: fused 0.5, set to 1, unfused": mixed, "warnings": len(said) + len(heard)}
recorded = {"in the weights when fused at 0.5, three times": [0.5, 0.25, 0.125],
            "of the LoRA after each unfusing": [0.5, 0.25, 0.125],
            "in the weights: fused 0.5, set to 1, unfused": [0.5, 0.5, -0.5], "warnings": 0}
for what, value in seen.items():
    print(f"{what:46} {value}  {'as recorded' if value == recorded[what] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
