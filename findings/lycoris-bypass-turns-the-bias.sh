#!/usr/bin/env bash
# LyCORIS' bypass mode, which quantised layers are put into unasked, gives other answers than its normal one where a
# layer has a bias: it rotates or scales the bias, too. OFT raises in it at any strength but 1.
#
# Guess:    bypass_mode=True is another way to compute the same, as its own notes say: the change is applied to the answer
#           and not to the weight.
# Versions: lycoris-lora 4.1.3, torch 2.13.0 (CPU), einops 0.8.2.
# Source:   lycoris/modules/diag_oft.py, boft.py and ia3.py, _bypass_forward: what org_forward() answers, bias and all, is
#           rotated or scaled; the normal forward() and merges change the weight, and leave the bias. diag_oft.py, for a
#           strength other than 1: view() of a tensor that einsum has left in another order. modules/base.py: layers of
#           bitsandbytes, quanto and optimum, and float8 ones, get bypass_mode=True.
# Behaviour: distance of the two modes' answers, against their length (Linear, rank 8; random numbers, biases as large as
#           the answers):
#                                    no bias, 1   no bias, .5   bias, 1   bias, .5
#           lora, loha, lokr, glora  0            0             0         0
#           ia3                      0            0             .24       .12
#           boft                     0            0             1.16      .89
#           diag-oft                 0            raises        1.15      raises
# Why it matters: an OFT trained on a quantised model is another one when it is merged or used on the full model; the
#           attention's output projections and all feed-forward layers of Stable Diffusion have biases.
#
# Output seen: the table above.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  lycoris-lora==4.1.3 torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6 sympy==1.14.0 mpmath==1.3.0 \
  einops==0.8.2 toml==0.10.2 tqdm==4.70.1 safetensors==0.8.0 setuptools==84.2.1 networkx==3.6.1 \
  packaging==26.4 filelock==4.3.1 fsspec==2026.9.0 jinja2==3.1.6 markupsafe==3.0.4
cd "$tmp"
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import logging
import sys

import torch
from lycoris import LycorisNetwork, create_lycoris
from torch import nn

logging.disable(logging.WARNING)
LycorisNetwork.apply_preset({"target_module": ["Linear"]})


@torch.no_grad()
def outputs(algo, bypass, bias, strength):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(48, 64, bias=bias))
    if bias:
        model[0].bias.copy_(torch.randn(64))
    network = create_lycoris(model, strength, linear_dim=8, linear_alpha=8, algo=algo, bypass_mode=bypass)
    network.apply_to()
    torch.manual_seed(1)
    for value in network.loras[0].parameters():
        value.copy_(torch.randn_like(value) * 0.3)
    return model(torch.randn(5, 48))


def apart(algo, bias, strength):
    try:
        one, other = (outputs(algo, bypass, bias, strength) for bypass in (False, True))
    except RuntimeError:
        return None
    return round(float((one - other).norm() / one.norm()), 2)


CASES = ((False, 1.0), (False, 0.5), (True, 1.0), (True, 0.5))
recorded = {
    **dict.fromkeys(("lora", "loha", "lokr", "glora"), (0.0, 0.0, 0.0, 0.0)),
    "ia3": (0.0, 0.0, 0.24, 0.12),
    "boft": (0.0, 0.0, 1.16, 0.89),
    "diag-oft": (0.0, None, 1.15, None),
}
changed = False
for algo, expected in recorded.items():
    seen = tuple(apart(algo, *case) for case in CASES)
    same = all(a is b if None in (a, b) else abs(a - b) <= 0.02 for a, b in zip(seen, expected, strict=True))
    changed |= not same
    print(f"{algo:9}", *("raises" if value is None else f"{value:.2f}" for value in seen), "" if same else "CHANGED")
sys.exit(changed)
PY
