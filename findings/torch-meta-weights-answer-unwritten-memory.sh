#!/usr/bin/env bash
# A product of a tensor on the CPU with a weight on the meta device is a tensor on the CPU that nothing was written into; it
# raises nothing.
#
# Guess:    a layer whose weight is on "meta", where tensors have no values, raises, or answers a meta tensor, as x + w does
#           and as the device of the answer promises otherwise.
# Versions: torch 2.13.0 (CPU).
# Source:   the meta kernels that structured operations share: addmm, mm and convolution take their answer's device from
#           the first argument there, and never compare devices, which elementwise operations and the composite ones do.
# Behaviour (x on the CPU, w on meta; the same with gradients and without):
#           F.linear(x, w), with a bias too; x @ w.T; addmm; baddbmm; conv2d     on the CPU, unwritten
#           x.add_(w)                                                           x as it was
#           bmm; einsum                                                         on meta
#           x + w; x * w; mv; layer_norm; attention; a bias on meta; copy_      raise
# Why it matters: layers on meta are what init_empty_weights, offloading and loading with assign=True leave behind where a
#           file lacks a weight or a hook was lost. A model with one draws noise, or what another layer drew before it, and an
#           edit added to such a weight in place does nothing. Nothing says so; check the device of every weight.
#
# Output seen: the table above.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6 sympy==1.14.0 mpmath==1.3.0 setuptools==84.2.1 networkx==3.6.1 \
  filelock==4.3.1 fsspec==2026.9.0 jinja2==3.1.6 markupsafe==3.0.4
cd "$tmp"
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import sys

import torch
import torch.nn.functional as F

x, one, nothing = torch.ones(3, 16), torch.ones(1, 16, 5, 5), torch.empty(4, 16, device="meta")
row = torch.empty(3, 16, device="meta")
OPERATIONS = {
    "linear": lambda: F.linear(x, nothing),
    "linear, bias": lambda: F.linear(x, nothing, torch.zeros(4)),
    "x @ w.T": lambda: x @ nothing.T,
    "addmm": lambda: torch.addmm(torch.zeros(3, 4), x, nothing.T),
    "baddbmm": lambda: torch.baddbmm(torch.zeros(1, 3, 4), x[None], nothing.T[None]),
    "conv2d": lambda: F.conv2d(one, nothing[..., None, None]),
    "x.add_(w)": lambda: x.clone().add_(row),
    "bmm": lambda: torch.bmm(x[None], nothing.T[None]),
    "einsum": lambda: torch.einsum("ij,kj->ik", x, nothing),
    "x + w": lambda: x + row,
    "x * w": lambda: x * row,
    "mv": lambda: torch.mv(x, row[0]),
    "layer_norm": lambda: F.layer_norm(x, (16,), row[0]),
    "linear, meta bias": lambda: F.linear(x, torch.ones(4, 16), torch.empty(4, device="meta")),
    "attention": lambda: F.scaled_dot_product_attention(x[None, None], row[None, None], row[None, None]),
    "x.copy_(w)": lambda: x.clone().copy_(row),
}
recorded = dict.fromkeys(("linear", "linear, bias", "x @ w.T", "addmm", "baddbmm", "conv2d", "x.add_(w)"), "cpu")
recorded |= dict.fromkeys(("bmm", "einsum"), "meta")


def answer(operation):
    try:
        return operation().device.type
    except (RuntimeError, NotImplementedError):
        return "raises"


changed = False
for grad in (False, True):
    with torch.set_grad_enabled(grad):
        for name, operation in OPERATIONS.items():
            seen, expected = answer(operation), recorded.get(name, "raises")
            changed |= seen != expected
            print(f"{name:18} {seen:7}{'' if seen == expected else f'CHANGED, was {expected}'}")
with torch.no_grad():
    layer = torch.nn.Linear(16, 4, bias=False, device="meta")
    print("a layer on meta:", layer(x).device.type)
    x_before = x.clone()
    same = torch.equal(x.add_(row), x_before)
print("x.add_(w) leaves x as it was:", same)
sys.exit(changed or not same)
PY
