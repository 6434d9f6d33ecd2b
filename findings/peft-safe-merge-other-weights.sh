#!/usr/bin/env bash
# PEFT's safe_merge=True, a check for NaN by its docstring, writes other weights than safe_merge=False.
#
# Guess:    merge(safe_merge=True) gives the bits of merge(), or raises; and unmerge() takes off what merge() put on.
# Versions: peft 0.21.2, torch 2.13.0 (holds the weights; CPU), transformers 5.24.0, accelerate 1.15.0 (peft imports both).
# Source:   peft/tuners/lora/layer.py, Linear.merge: safe_merge rounds the change to the weight's dtype, then adds;
#           without it, the float32 change is added to the half-precision weight and rounded once. Linear.unmerge:
#           always subtracts the rounded change. The docstring of merge: "performed in a copy of the original weights
#           and check for NaNs". get_peft_model keeps adapters of half-precision models in float32 by default
#           (autocast_adapter_dtype=True), so the two differ by default. diffusers' fuse_lora(safe_fusing=...) passes it on.
# Behaviour: with a bfloat16 or float16 layer and a float32 LoRA, 16 % of the merged weights differ between the two; with
#           a LoRA of the layer's own dtype, or a float32 layer, none. After merge and unmerge 19 % of the weights are not
#           what they were (18 % with safe_merge), and some small ones are 0 in their place; further rounds change
#           nothing. Also in float32, 18 % do not come back to the bit.
# Why it matters: a checkpoint merged by two tools, or by one with another flag, has another hash though both are right; and
#           a model that was fused and unfused is no reference for comparing an edit with the original.
#
# Output seen (512 x 512, weights 0.02, change 0.005; shares of the weights, compared to 0.01):
#   layer      LoRA       merged: differ   not back, plain   not back, safe   to 0, plain   after 20 rounds, plain
#   float32    float32    0.0              0.176             0.176            0             0.176
#   float16    float32    0.158            0.193             0.175            11            0.193
#   bfloat16   float32    0.157            0.194             0.175            116           0.194
#   bfloat16   bfloat16   0.0              0.176             0.176            115           0.176
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
import sys

import numpy as np
import torch
from peft import LoraConfig, get_peft_model

SIZE, RANK = 512, 4
random = np.random.Generator(np.random.PCG64(0))
WEIGHT, DOWN, UP = (torch.from_numpy(random.standard_normal(shape) * by)
                    for shape, by in (((SIZE, SIZE), 0.02), ((RANK, SIZE), 0.05), ((SIZE, RANK), 0.05)))


def case(dtype, autocast, safe, rounds):
    model = torch.nn.Sequential(torch.nn.Linear(SIZE, SIZE, bias=False)).to(dtype)
    model[0].weight.data.copy_(WEIGHT)
    before = model[0].weight.detach().clone()
    get_peft_model(model, LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["0"]), autocast_adapter_dtype=autocast)
    layer = model[0]
    layer.lora_A["default"].weight.data.copy_(DOWN)
    layer.lora_B["default"].weight.data.copy_(UP)
    merged = None
    for _ in range(rounds):
        layer.merge(safe_merge=safe)
        merged = layer.base_layer.weight.detach().clone() if merged is None else merged
        layer.unmerge()
    return before, merged, layer.base_layer.weight.detach(), str(layer.lora_A["default"].weight.dtype)[6:]


def share(one, other):
    return round(float((one != other).double().mean()), 3)


def row(dtype, autocast=True):
    before, plain, back, lora = case(dtype, autocast, False, 1)
    _, safe, safe_back, _ = case(dtype, autocast, True, 1)
    return (lora, share(plain, safe), share(before, back), share(before, safe_back),
            int(((back == 0) & (before != 0)).sum()), share(before, case(dtype, autocast, False, 20)[2]))


def like(value, other):  # the product of the two factors may round otherwise on another processor
    return value[0] == other[0] and all(abs(a - b) <= 0.01 for a, b in zip(value[1:4] + value[5:], other[1:4] + other[5:])) \
        and (value[4] > 0) == (other[4] > 0) and (value[1] > 0) == (other[1] > 0)


recorded = {
    "float32": ("float32", 0.0, 0.176, 0.176, 0, 0.176),
    "float16": ("float32", 0.158, 0.193, 0.175, 11, 0.193),
    "bfloat16": ("float32", 0.157, 0.194, 0.175, 116, 0.194),
    "bfloat16, no autocast": ("bfloat16", 0.0, 0.176, 0.176, 115, 0.176),
}
seen = {"float32": row(torch.float32), "float16": row(torch.float16), "bfloat16": row(torch.bfloat16),
        "bfloat16, no autocast": row(torch.bfloat16, False)}
for name, value in seen.items():
    print(f"{name:22} {value}  {'as recorded' if like(value, recorded[name]) else 'CHANGED'}")
sys.exit(not all(like(value, recorded[name]) for name, value in seen.items()))
PY
