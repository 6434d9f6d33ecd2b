#!/usr/bin/env bash
# A row of a weight that is all zeros becomes NaN in optimum-quanto's float8, before it is frozen and after; its integers
# keep it.
#
# Guess:    zeros are the one value that every type holds exactly, so a cut row, or a layer that was zero from the start,
#           answers zeros in all of them.
# Versions: optimum-quanto 0.2.7, torch 2.13.0 (CPU).
# Source:   optimum/quanto/tensor/optimizers/absmax_optimizer.py, AbsmaxOptimizer.optimize: the scale of a row is its
#           greatest size over the greatest number of the type, 0 here; optimum/quanto/library/quantize.py divides by
#           it. 0 / 0 becomes 0 as an integer and stays NaN as a float.
# Behaviour: weights      a row of zeros   a layer of zeros   rows beside it
#           qint8        0                0                  as without
#           qint4        0                0                  as without
#           qfloat8      NaN              NaN                as without
#           (e4m3fn, e4m3fnuz and e5m2 alike; Linear and Conv2d alike.)
# Why it matters: models have such rows: the zero convolutions of a ControlNet that was just begun, gates that start at
#           zero, and layers from which neurons were cut. One of them makes every picture NaN, and nothing is said while
#           the model is quantised. Whoever cuts rows has to do it after, or to keep the row out.
#
# Output seen: the table above.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6 sympy==1.14.0 mpmath==1.3.0 \
  optimum-quanto==0.2.7 safetensors==0.8.0 ninja==1.13.2 setuptools==84.2.1 \
  packaging==26.4 huggingface_hub==2.4.0 filelock==4.3.1 fsspec==2026.9.0 pyyaml==6.0.4 tqdm==4.70.1 \
  jinja2==3.1.6 markupsafe==3.0.4 httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0 h11==0.16.0 truststore==0.10.5 idna==3.20 \
  certifi==2026.10.19.post1
cd "$tmp"
cat > seen.py <<'PY'
import sys

import torch
from optimum.quanto import freeze, qfloat8_e4m3fn, qfloat8_e4m3fnuz, qfloat8_e5m2, qint4, qint8, quantize
from torch import nn

torch.manual_seed(0)
LAYERS = {
    "Linear": (lambda: nn.Linear(64, 64, bias=False), torch.randn(4, 64)),
    "Conv2d": (lambda: nn.Conv2d(64, 64, 1, bias=False), torch.randn(4, 64, 5, 5)),
}


@torch.no_grad()
def answer(make, inputs, kind, rows, frozen):
    torch.manual_seed(0)
    found = nn.Sequential(make())
    found[0].weight[rows] = 0
    quantize(found, weights=kind)
    if frozen:
        freeze(found)
    return found(inputs)


def told(values):
    return "NaN" if values.isnan().all() else "0" if (values == 0).all() else "numbers"


seen = set()
for name, (make, inputs) in LAYERS.items():
    for kind in (qint8, qint4, qfloat8_e4m3fn, qfloat8_e4m3fnuz, qfloat8_e5m2):
        for frozen in (False, True):
            row, layer = (answer(make, inputs, kind, rows, frozen) for rows in (slice(0, 1), slice(None)))
            plain = answer(make, inputs, kind, slice(0, 0), frozen)
            found = told(row[:, :1]), told(layer), torch.equal(row[:, 1:], plain[:, 1:])
            print(f"{name:8}{kind.name:18}{'frozen' if frozen else '':8}{found[0]:8}{found[1]:8}{found[2]}")
            seen.add((kind.name.startswith("qfloat8"), *found))
wanted = {(False, "0", "0", True), (True, "NaN", "NaN", True)}
print("as recorded" if seen == wanted else f"something has changed: {seen}")
sys.exit(seen != wanted)
PY
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" seen.py 2>told.txt || { cat told.txt; exit 1; }
