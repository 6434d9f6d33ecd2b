#!/usr/bin/env bash
# comfy-kitchen's rotary embeddings answer tensors that ask for a gradient and have a grad_fn, and the way back fails;
# only those that work in place say beforehand that they are for inference alone.
#
# Guess:    the reference code of the package is plain PyTorch, so gradients go through it on a CPU. If an operation
#           had none, its answer would not require a gradient, or the call itself would refuse.
# Versions: comfy-kitchen 0.2.26, torch 2.13.0 (CPU), the pure Python backend ("eager").
# Source:   comfy_kitchen/backends/eager registers each operation with torch.library.custom_op and no
#           register_autograd; torch/_library/autograd.py then makes a backward that raises, and leaves the forward
#           and requires_grad as they are.
# Behaviour: function                     in place   answer requires a gradient   backward
#           apply_rope1, apply_rope_split_half1, rms_rope1   no   yes             RuntimeError
#           apply_rope1_                  yes        (refuses: inference-only)    -
#           The same rotation written in torch: a gradient, and it is not zero.
# Why it matters: ComfyUI 0.30 calls these from Wan, Flux, LTX and others unless its flag in_training is set, so a
#           program that trains such a model and does not set the flag finds out in backward, after a whole forward
#           pass; what looks for a graph (requires_grad, grad_fn) sees nothing wrong.
#
# Output seen: the table above.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  torch==2.13.0 typing_extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 networkx==3.6.1 jinja2==3.1.6 \
  markupsafe==3.0.3 filelock==3.29.0 fsspec==2026.4.0 packaging==26.0 numpy==2.4.6 comfy-kitchen==0.2.26
cd "$tmp"
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import sys

import comfy_kitchen as kitchen
import torch

generator = torch.Generator().manual_seed(0)
inputs = torch.randn(1, 2, 3, 8, generator=generator)
angles = torch.arange(12.0).view(1, 1, 3, 4)
turn = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], -1).view(1, 1, 3, 4, 2, 2)
scale = torch.ones(8)


def plain(x, turns):
    pairs = x.view(*x.shape[:-1], -1, 1, 2)
    return (turns[..., 0] * pairs[..., 0] + turns[..., 1] * pairs[..., 1]).reshape(x.shape)


def tried(function, *more):
    leaf = inputs.clone().requires_grad_()
    try:
        answer = function(leaf * 1.0, turn, *more)
    except RuntimeError as error:
        return "refused" if "inference-only" in str(error) else f"failed: {error}"
    seen = "requires a gradient" if answer.requires_grad and answer.grad_fn is not None else "without a gradient"
    try:
        answer.square().sum().backward()
    except RuntimeError as error:
        return f"{seen}, backward raises" if "no autograd formula" in str(error) else f"{seen}, {error}"
    return f"{seen}, gradient {'zero' if leaf.grad.abs().max() == 0 else 'there'}"


seen = {
    "apply_rope1": tried(kitchen.apply_rope1),
    "apply_rope_split_half1": tried(kitchen.apply_rope_split_half1),
    "rms_rope1": tried(kitchen.rms_rope1, scale),
    "apply_rope1_": tried(kitchen.apply_rope1_),
    "torch alone": tried(plain),
}
recorded = {
    "apply_rope1": "requires a gradient, backward raises",
    "apply_rope_split_half1": "requires a gradient, backward raises",
    "rms_rope1": "requires a gradient, backward raises",
    "apply_rope1_": "refused",
    "torch alone": "requires a gradient, gradient there",
}
same = torch.allclose(kitchen.apply_rope1(inputs, turn), plain(inputs, turn), atol=1e-6)
print(f"comfy-kitchen's apply_rope1 answers what torch alone does: {same}")
for name, value in seen.items():
    print(f"{name:24} {value:40} {'as recorded' if value == recorded[name] else 'CHANGED'}")
sys.exit(seen != recorded or not same)
PY
