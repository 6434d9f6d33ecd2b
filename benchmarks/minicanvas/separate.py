"""MiniCanvas-DiT in files of its own, as Flux comes: a diffusion model, a text encoder and a VAE."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from . import checkpoint, text
from .transformer import LATENT_CHANNELS, widened

TRANSFORMER = checkpoint.WEIGHTS / "transformer.safetensors"
NAMES = {
    "diffusion_models": "minicanvas-dit.safetensors",
    "text_encoders": "minicanvas-clip.safetensors",
    "vae": "minicanvas-vae.safetensors",
}
"""What the files are called, by ComfyUI's folders for them."""
SCALE, SHIFT = 0.3611, 0.1159
"""Flux's factor and shift between a VAE's latents and a model's; given with the VAE, they make them the same here."""
_ENCODED, _DECODED = ("taesd_encoder.14.weight", "taesd_encoder.14.bias"), "taesd_decoder.1.weight"


def shipped(transformer: Mapping[str, Tensor] | None = None) -> dict[str, dict[str, Tensor]]:
    """Return the weights of every file, by folder.

    Args:
        transformer: of four channels; what ships unless given.
    """
    return {
        "diffusion_models": widened(load_file(TRANSFORMER) if transformer is None else transformer),
        "text_encoders": {
            name.split("transformer.", 1)[1]: value
            for name, value in checkpoint.text_encoder().items()
            if "transformer." in name
        },
        "vae": autoencoder(load_file(checkpoint.AUTOENCODER)),
    }


def autoencoder(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the autoencoder with 16 channels of latents: the others are encoded as zeros, and not decoded."""
    found = dict(weights)
    for name, axis in ((_ENCODED[0], 0), (_ENCODED[1], 0), (_DECODED, 1)):
        old = weights[name]
        shape = list(old.shape)
        shape[axis] = LATENT_CHANNELS
        found[name] = old.new_zeros(shape)
        found[name].narrow(axis, 0, old.shape[axis]).copy_(old)
    return found | {"vae_scale": torch.tensor(SCALE), "vae_shift": torch.tensor(SHIFT)}


def build(models: Path) -> list[Path]:
    """Write the files into ComfyUI's folder of models, unless these very ones are there.

    Raises:
        FileExistsError: there is a file of such a name which is no MiniCanvas.
    """
    files = [models / folder / name for folder, name in NAMES.items()]
    there = [checkpoint.is_there(file, version()) for file in files]  # each is looked at before any is written
    if all(there):
        return files
    for file, weights in zip(files, shipped().values(), strict=True):
        checkpoint.write(file, weights, version())
    return files


def version() -> str:
    """Return a short name that changes with the weights."""
    found = hashlib.sha256()
    for file in (TRANSFORMER, checkpoint.AUTOENCODER, Path(text.__file__)):
        found.update(file.read_bytes())
    return found.hexdigest()[:8]
