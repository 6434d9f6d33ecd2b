#!/usr/bin/env bash
# The strength of a weight-decomposed (DoRA) network of LyCORIS leaves its change alone: at 0 all of it is there.
#
# Guess:    a multiplier of 0 gives the base model, and .5 something between, as without dora_wd.
# Versions: lycoris-lora 4.1.3, torch 2.13.0 (CPU), einops 0.8.2.
# Source:   lycoris/modules/locon.py, loha.py and lokr.py: forward() and get_merged_weight() hand W + ΔW, with all of ΔW, to
#           weight_decompose(), and the multiplier with it; lycoris/functional/general.py, _weight_decompose(): it scales
#           how far the lengths of columns are from those that were trained, and nothing else. ComfyUI and A1111
#           interpolate between W and the decomposed weight instead (by their source).
# Behaviour: how far outputs are from the base model's, against strength 1; the same applied (set_multiplier) and merged:
#                                 0       .5      -1
#           lora                  0       .5      1
#           loha, lokr            0       .5      1
#           lora, dora_wd         1.09    1.04    1.23
#           loha, dora_wd         1.02    1.01    1.06
#           lokr, dora_wd         1.03    1.01    1.10
#           At -1 it is not the opposite, either: the change is added with its own sign.
# Why it matters: comparing with and without by a strength of 0, sweeping strengths, or subtracting a concept by -1 gives
#           the trained model each time; and one file means other pictures in two programs at any strength but 1.
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
def case(algo, decomposed, strength):
    """How far outputs are from the base model's, against strength 1: as applied, and as merged."""
    found = []
    for at in (strength, 1.0):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(48, 64))
        network = create_lycoris(model, at, linear_dim=8, linear_alpha=8, algo=algo, dora_wd=decomposed)
        network.apply_to()
        torch.manual_seed(1)
        for name, value in network.loras[0].named_parameters():
            if name != "dora_scale":  # as it is made: the lengths of the base model's rows
                value.copy_(torch.randn_like(value) * 0.1)
        inputs = torch.randn(5, 48)
        live = model(inputs)
        network.restore()
        base = model(inputs)
        network.merge_to(at)
        found.append((live - base, model(inputs) - base))
    return tuple(round(float(here.norm() / full.norm()), 2) for here, full in zip(*found, strict=True))


STRENGTHS = (0.0, 0.5, -1.0)
recorded = {
    ("lora", False): (0.0, 0.5, 1.0), ("lora", True): (1.09, 1.04, 1.23),
    ("loha", False): (0.0, 0.5, 1.0), ("loha", True): (1.02, 1.01, 1.06),
    ("lokr", False): (0.0, 0.5, 1.0), ("lokr", True): (1.03, 1.01, 1.1),
}
changed = False
for (algo, decomposed), expected in recorded.items():
    live, merged = zip(*(case(algo, decomposed, strength) for strength in STRENGTHS), strict=True)
    same = all(abs(one - other) <= 0.02 for seen in (live, merged) for one, other in zip(seen, expected, strict=True))
    changed |= not same
    print(f"{algo}{', dora_wd' if decomposed else '':9} applied {live}, merged {merged}{'' if same else '  CHANGED'}")
sys.exit(changed)
PY
