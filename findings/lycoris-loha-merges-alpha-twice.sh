#!/usr/bin/env bash
# LyCORIS merges a LoHa with alpha / rank twice: a quarter of it, where the file and the network that draws say a half.
#
# Guess:    merge_to(1.0) writes what the network adds while it is applied, which is what its file says: alpha / rank times
#           (w1a w1b) * (w2a w2b); as it does for its other kinds.
# Versions: lycoris-lora 4.1.3, torch 2.13.0 (CPU), einops 0.8.2.
# Source:   lycoris/modules/loha.py: LohaModule.get_weight hands `scale` (alpha / rank) on as gamma, which loha_diff_weight
#           multiplies by; get_diff_weight, which merges and exports of differences go through, multiplies by it again.
#           forward() and bypass_forward_diff() take get_weight alone.
# Behaviour: merged, as a share of what it did while applied, and of what its own file says:
#           LoHa, alpha 8, 4, 2, 1 of rank 8      1, .5, .25, .125    (Linear, Conv2d; plain or with precise=True)
#           lora and lokr, alpha 4 of 8           1
#           precise=True of a Conv2d raises (shapes), whatever alpha is.
# Why it matters: alpha is nearly always below the rank (1 or half of it), so a checkpoint that was merged by LyCORIS has a
#           half to an eighth of the style that the same file has in ComfyUI or A1111, and nothing is said. A difference
#           of two checkpoints is then no longer the LoHa that it was made with.
#
# Output seen: the shares above, for each layer and alpha.
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
LycorisNetwork.apply_preset({"target_module": ["Linear", "Conv2d"]})
LAYERS = {"Linear": lambda: nn.Linear(48, 64), "Conv2d": lambda: nn.Conv2d(16, 24, 3)}
RANK = 8


def written_out(kept, shape):
    """What the file says: alpha / rank times the product of two products."""
    one, two = kept["hada_w1_a"] @ kept["hada_w1_b"], kept["hada_w2_a"] @ kept["hada_w2_b"]
    return (float(kept["alpha"]) / RANK * one * two).view(shape)


@torch.no_grad()
def case(make, algo, alpha, precise=False):
    torch.manual_seed(0)
    model = nn.Sequential(make())
    before = model[0].weight.clone()
    network = create_lycoris(model, 1.0, linear_dim=RANK, linear_alpha=alpha, conv_dim=RANK, conv_alpha=alpha, algo=algo)
    network.apply_to()
    torch.manual_seed(1)
    for value in network.loras[0].parameters():
        value.copy_(torch.randn_like(value) * 0.3)
    inputs = torch.randn(5, 48) if before.ndim == 2 else torch.randn(2, 16, 6, 6)
    live, kept = model(inputs), network.loras[0].custom_state_dict()
    network.restore()
    plain = model(inputs)
    network.merge_to(1.0, precise=precise)
    merged = model(inputs)
    share = float((merged - plain).norm() / (live - plain).norm())
    if algo != "loha":
        return None, round(share, 3)
    true = written_out(kept, before.shape)
    moved = model[0].weight - before
    return round(float((moved * true).sum() / true.square().sum()), 3), round(share, 3)


recorded, seen = {}, {}
for name, make in LAYERS.items():
    for alpha in (8, 4, 2, 1):
        for precise in (False, True)[: 1 + (name == "Linear")]:  # the precise merge of a convolution raises
            key = f"LoHa, {name}, alpha {alpha} of {RANK}{', precise' if precise else ''}"
            recorded[key] = (alpha / RANK, alpha / RANK)
            seen[key] = case(make, "loha", alpha, precise)
    for algo in ("lora", "lokr"):
        recorded[f"{algo}, {name}, alpha 4 of 8"] = (None, 1.0)
        seen[f"{algo}, {name}, alpha 4 of 8"] = case(make, algo, 4)
for key, (file, live) in seen.items():
    same = (file, live) == recorded[key]
    told = "" if file is None else f"{file:.3f} of what the file says, "
    print(f"{key:36} merged: {told}{live:.3f} of what it did while applied{'' if same else '  CHANGED'}")
sys.exit(seen != recorded)
PY
