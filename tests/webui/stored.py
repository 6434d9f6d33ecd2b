"""MiniCanvas stored in ways that only Forge reads: as GGUF, and in eight bits with a scale beside each matrix."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pack.benchmarks.host.webui import interpreter
from pack.benchmarks.minicanvas import checkpoint

GGUF, SCALED = "minicanvas.gguf", "scaled.safetensors"
BESIDE = "models/text_encoder/minicanvas.safetensors"
"""The text and picture encoders, which a GGUF has no place for."""

_MODELS = Path("models") / "Stable-diffusion"
_UNET = "model.diffusion_model."
_TEXT = ("attn2.to_k.weight", "attn2.to_v.weight")
_SCALE = 1 / 256


def write_gguf(data: Path, forge: Path, kind: str) -> None:
    """A UNet alone, and the encoders beside it."""
    weights, unet = _weights(data), data / "unet.safetensors"
    save_file({name: value.float() for name, value in weights.items() if name.startswith(_UNET)}, unet)
    (data / BESIDE).parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value for name, value in weights.items() if not name.startswith(_UNET)}, data / BESIDE)
    script = Path(__file__).with_name("gguf_file.py")
    command = [str(interpreter(forge)), str(script), str(unet), str(data / _MODELS / GGUF), kind]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(forge / "packages_3rdparty")})


def write_scaled(data: Path) -> None:
    """Its text projections in eight bits, each times a number that is kept beside it."""
    weights = _weights(data)
    for name in [name for name in weights if name.endswith(_TEXT)]:
        weights[name] = (weights[name].float() / _SCALE).to(torch.float8_e4m3fn)
        weights[name.removesuffix("weight") + "scale_weight"] = torch.tensor(_SCALE)
    save_file(weights, data / _MODELS / SCALED)


def _weights(data: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = load_file(data / _MODELS / checkpoint.FILE)
    return found
