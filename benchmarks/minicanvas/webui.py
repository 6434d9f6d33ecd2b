"""MiniCanvas as AUTOMATIC1111 and Forge take it: a checkpoint, its configuration, and its autoencoder as files."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from ..host import webui
from . import checkpoint

_PARTS = ("encoder", "decoder")
_SMALL = {
    "attention_resolutions: [ 4, 2, 1 ]": "attention_resolutions: [ 1 ]",
    "num_res_blocks: 2\n        channel_mult: [ 1, 2, 4, 4 ]": "num_res_blocks: 1\n        channel_mult: [ 1 ]",
}


def add_minicanvas(data: Path, host: Path, folder: Path) -> str:
    """Put MiniCanvas into a data folder; return the name that the host knows it by."""
    file = checkpoint.build(folder)
    weights = load_file(file)
    place = data / "models" / "VAE-taesd"
    place.mkdir(parents=True, exist_ok=True)
    for part in _PARTS:
        prefix = f"first_stage_model.taesd_{part}."
        found = {key.removeprefix(prefix): value.float() for key, value in weights.items() if key.startswith(prefix)}
        for name in ("taesd", "taesdxl"):
            torch.save(found, place / f"{name}_{part}.pth")
    return webui.add_model(data, file, None if webui.is_forge(host) else small_config(host))


def small_config(host: Path) -> str:
    """The host's own configuration of Stable Diffusion 1.x, with a UNet of MiniCanvas's size."""
    text = (host / "configs" / "v1-inference.yaml").read_text(encoding="utf-8")
    for whole, small in _SMALL.items():
        assert whole in text
        text = text.replace(whole, small)
    return text
