#!/usr/bin/env bash
# A frozen weight of optimum-quanto answers every write into it, and a whole state dict, as if it had been taken, and
# nothing changes. torchao's weights raise instead, but for `weight.data = new`.
#
# Guess:    each of the usual ways to edit a weight in place changes the layer (to the nearest quantised values), or
#           raises; load_state_dict, which is strict, does one of the two in any case.
# Versions: optimum-quanto 0.2.7, torchao 0.18.0, torch 2.13.0 (CPU).
# Source:   optimum/quanto/tensor/weights/qbytes.py and qbits.py, WeightQBytesTensor.__torch_dispatch__ and its
#           sibling: operations that have no entry go to a dequantised copy of their arguments (qfallback), so one that
#           writes, writes into the copy. torchao/utils.py, _dispatch__torch_dispatch__: without an entry it raises.
#           `.data = ` reaches neither: torch swaps the outer tensor, which holds no numbers.
# Behaviour: way of writing         quanto qint8, qint4, qfloat8 (frozen)   torchao Int8, Float8 (weight only)
#           weight.copy_(new)      nothing, no error                        raises
#           weight.add_(change)    nothing, no error                        raises
#           weight.zero_()         nothing, no error                        raises
#           weight[:8] = 0         nothing, no error                        raises
#           weight.data = new      nothing, no error                        nothing, no error
#           load_state_dict(new)   nothing, no error, no missing keys       raises
#           weight = Parameter(…)  takes it (the layer is dense from then on)   takes it
#           Before freeze(), quanto takes all of them.
# Why it matters: code that edits weights in place (closed forms of concept erasure, LoRA merges by hand, tests that
#           zero a layer) reports success on such a model, and the model is the one from before. Whether the layer's
#           answer has moved has to be asked of the layer.
#
# Output seen: the table above, by how far the layer's answer moves.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6 sympy==1.14.0 mpmath==1.3.0 \
  optimum-quanto==0.2.7 torchao==0.18.0 safetensors==0.8.0 ninja==1.13.2 setuptools==84.2.1 \
  packaging==26.4 huggingface_hub==2.4.0 filelock==4.3.1 fsspec==2026.9.0 pyyaml==6.0.4 tqdm==4.70.1 \
  jinja2==3.1.6 markupsafe==3.0.4 httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 h11==0.16.0 truststore==0.10.5 idna==3.20 \
  certifi==2026.10.19.post1
cd "$tmp"
cat > seen.py <<'PY'
import sys

import torch
from optimum.quanto import freeze, qfloat8, qint4, qint8, quantize
from torch import nn
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

torch.manual_seed(0)
dense, new, inputs = torch.randn(64, 64) / 8, torch.randn(64, 64), torch.randn(4, 64)


def layer():
    found = nn.Sequential(nn.Linear(64, 64, bias=False))
    with torch.no_grad():
        found[0].weight.copy_(dense)
    return found


def quanto(kind, frozen=True):
    found = layer()
    quantize(found, weights=kind)
    if frozen:
        freeze(found)
    return found[0]


def ao(config):
    found = layer()
    quantize_(found, config)
    return found[0]


def zero_rows(module):
    module.weight[:8] = 0


def set_data(module):
    module.weight.data = new


def set_weight(module):
    module.weight = nn.Parameter(new, requires_grad=False)


ways = {
    "weight.copy_(new)": lambda module: module.weight.copy_(new),
    "weight.add_(change)": lambda module: module.weight.add_(new),
    "weight.zero_()": lambda module: module.weight.zero_(),
    "weight[:8] = 0": zero_rows,
    "weight.data = new": set_data,
    "load_state_dict(new)": lambda module: module.load_state_dict({"weight": new}),
    "weight = Parameter(new)": set_weight,
}
kinds = {
    "quanto qint8": lambda: quanto(qint8), "quanto qint4": lambda: quanto(qint4), "quanto qfloat8": lambda: quanto(qfloat8),
    "torchao Int8": lambda: ao(Int8WeightOnlyConfig()), "torchao Float8": lambda: ao(Float8WeightOnlyConfig()),
    "quanto qint8, not frozen": lambda: quanto(qint8, frozen=False),
}  # fmt: skip


@torch.no_grad()
def outcome(make, way):
    module = make()
    before = module(inputs).clone()
    try:
        way(module)
    except Exception:  # noqa: BLE001
        return "raises"
    moved = (module(inputs) - before).norm() / before.norm()
    return "nothing" if moved == 0 else "takes it"


seen = {kind: [outcome(make, way) for way in ways.values()] for kind, make in kinds.items()}
width = max(map(len, ways))
print(" " * width, *(f"{kind:>16.16}" for kind in kinds))
for place, way in enumerate(ways):
    print(f"{way:{width}}", *(f"{seen[kind][place]:>16}" for kind in kinds))
swallowed, raised = [*["nothing"] * 6, "takes it"], [*["raises"] * 4, "nothing", "raises", "takes it"]
wanted = {kind: swallowed if kind.startswith("quanto") else raised for kind in kinds}
wanted["quanto qint8, not frozen"] = ["takes it"] * 7
print("as recorded" if seen == wanted else f"something has changed: {wanted}")
sys.exit(seen != wanted)
PY
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" seen.py 2>told.txt || { cat told.txt; exit 1; } # torchao names what it cannot load
