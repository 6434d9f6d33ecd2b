"""The same edit on the same model in ComfyUI: the weights that it comes to there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import comfy.sd
import comfy.utils
import torch
from torch import Tensor

from pack.benchmarks.minicanvas import checkpoint
from pack.benchmarks.minicanvas.inprocess import Loaded, load
from pack.nodes.erase_neurons import EraseNeurons
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.nodes.unlearn import Unlearn
from pack.scapre.export import FORMATS, Options
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.progress import silent

CPU = torch.device("cpu")


@cache
def minicanvas() -> Loaded:
    """The model; nothing here changes it."""
    return load(checkpoint.shipped())


def weights(edit: Path | None = None, strength: float = 1.0, lora: Path | None = None) -> dict[str, Tensor]:
    """Matrices whose role says what they are for, and convolutions of residual blocks, with a LoRA and an edit."""
    model = minicanvas().model
    if lora:
        model, _ = comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(str(lora)), 1.0, 0.0)
    if edit:
        model = apply_edit(model, read_edit(edit), strength)
    projections = HostProjections(model)
    convolutions = ("in_layers.2.weight", "out_layers.3.weight")
    names = [name for name, role in projections.roles.items() if role is not Role.OTHER or name.endswith(convolutions)]
    return {name: projections.read(name, CPU) for name in names}


def as_lora(edit: Path, file: Path) -> Path:
    """An edit file as a LoRA of all that it changes."""
    weights = HostProjections(minicanvas().model)
    FORMATS["lora"](read_edit(edit), weights, file, Options(dtype="fp32"), silent)
    return file


@cache
def cut_neurons(file: Path) -> Path:
    """An edit file of weights that were cut, made in ComfyUI in a few short pictures."""
    inputs = {"size": 64, "steps": 20, "recorded": 1, "pairs": 2, "words": "house; fish", "neuron_ratio": 0.1}
    model = minicanvas()
    with torch.inference_mode():
        _, edit, _ = EraseNeurons.execute(model.model, model.clip, "cross", **inputs).result
    write_edit(edit, file)
    return file


@cache
def trained(file: Path, layers: str) -> Path:
    """An edit file of what was trained, in a few iterations."""
    inputs = {
        "size": 64, "steps": 20, "first": 17, "iterations": 3, "rank": 4, "learning_rate": 0.01, "preview_every": 0,
    }  # fmt: skip
    model = minicanvas()
    with torch.inference_mode():
        _, edit, _ = Unlearn.execute(model.model, model.clip, "cross", layers=layers, **inputs).result
    write_edit(edit, file)
    return file


def apart(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """‖found - wanted‖ / ‖wanted‖ over all projections together."""
    assert found.keys() == wanted.keys()
    moved = sum(float((found[name] - value).double().square().sum()) for name, value in wanted.items())
    return (moved / sum(float(value.double().square().sum()) for value in wanted.values())) ** 0.5
