#!/usr/bin/env bash
# diffusers turns GGUF blocks into weights in float16 arithmetic, also when compute_dtype is float32.
#
# Guess:    a Q8_0 weight read by diffusers with compute_dtype=torch.float32 is the number that the gguf package gives for
#           the same bytes: a float16 scale times an 8-bit integer fits float32 exactly.
# Versions: diffusers 0.42.1, gguf 0.19.0 (the format's own Python package), numpy 2.4.6, torch 2.13.0 (diffusers' reader
#           needs it; CPU). The functions are the same in 0.32.2 and 0.35.2 for Q8_0 by their sources; only 0.42.1 was run.
# Source:   diffusers/quantizers/gguf/utils.py: dequantize_gguf_tensor calls dequantize_blocks_Q8_0 and its likes without a
#           dtype, so the scale stays float16 and so do product and sum; GGUFLinear.forward_native casts to
#           compute_dtype after that. gguf/quants.py, Q8_0.dequantize_blocks and others: float32.
#           The docstring of GGUFQuantizationConfig: compute_dtype "sets the computational type".
# Behaviour: Q8_0, Q5_0 and Q4_0 come back as the gguf package's numbers rounded to float16. Q5_1 and Q4_1 (scale and
#           offset) are rounded twice and are not even that for about half of the weights. For Q8_0, 83 % of the
#           weights of a normal matrix differ, by up to half a unit of float16. Of the six kinds run here BF16 alone is
#           read exactly, and comes back as float32, the others as float16.
# Why it matters: two hosts that read one GGUF file have different base weights, so hashes of dequantised weights, and small
#           edits or LoRA differences computed from them, do not carry over; asking for float32 does not help.
#
# Output seen (of 262,144 normal weights, 0.02: share that differs from gguf, share that is gguf's rounded to float16):
#   Q8_0 float16 0.831 1.0      Q5_1 float16 0.768 0.507    Q5_0 float16 0.41 1.0
#   Q4_1 float16 0.627 0.576    Q4_0 float16 0.229 1.0      BF16 float32 0.0
#   a GGUFLinear of Q8_0 with compute_dtype float32, fed the identity: 0.831 of its weights differ, as above
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps gguf==0.19.0 \
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

import gguf
import numpy as np
import torch
from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter, dequantize_gguf_tensor

weights = (np.random.Generator(np.random.PCG64(0)).standard_normal((256, 1024)) * 0.02).astype(np.float32)


def blocks(kind):
    raw = gguf.quants.quantize(weights, kind)
    return GGUFParameter(torch.from_numpy(raw.copy()), quant_type=kind), gguf.quants.dequantize(raw, kind)


def case(kind):
    mine, theirs = blocks(kind)
    mine = dequantize_gguf_tensor(mine)
    value = mine.float().numpy()
    rounded = theirs.astype(np.float16).astype(np.float32)
    return str(mine.dtype)[6:], round(float((value != theirs).mean()), 3), round(float((value == rounded).mean()), 3)


recorded = {"Q8_0": ("float16", 0.831, 1.0), "Q5_1": ("float16", 0.768, 0.507), "Q5_0": ("float16", 0.41, 1.0),
            "Q4_1": ("float16", 0.627, 0.576), "Q4_0": ("float16", 0.229, 1.0), "BF16": ("float32", 0.0, 1.0),
            "Q8_0 in a layer, float32": 0.831}
seen = {name: case(gguf.GGMLQuantizationType[name]) for name in list(recorded)[:6]}
parameter, theirs = blocks(gguf.GGMLQuantizationType.Q8_0)
layer = GGUFLinear(1024, 256, bias=False, compute_dtype=torch.float32)
layer.weight = parameter
with torch.no_grad():
    out = layer(torch.eye(1024)).T.numpy()  # one term a sum: no rounding of its own
seen["Q8_0 in a layer, float32"] = round(float((out != theirs).mean()), 3)
for name, value in seen.items():
    print(f"{name:24} {value}  {'as recorded' if value == recorded[name] else 'CHANGED'}")
sys.exit(seen != recorded)
PY
