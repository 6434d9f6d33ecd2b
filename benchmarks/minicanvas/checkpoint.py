"""Put the checkpoint together: the trained parts that ship here, and the text encoder made from its seed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import text
from .world import ARTIST_NAMES, COLOURS, OBJECTS

WEIGHTS = Path(__file__).parent / "weights"
UNET, AUTOENCODER, JUDGE, LORA = (
    WEIGHTS / "unet.safetensors",
    WEIGHTS / "autoencoder.safetensors",
    WEIGHTS / "judge.safetensors",
    WEIGHTS / "lora.safetensors",
)
UNET_PREFIX, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."
FILE, TITLE = "minicanvas.safetensors", "MiniCanvas"
SCALE = 0.18215
"""SD1.5's factor between a VAE's latents and a UNet's; given with the VAE, it makes them the same here."""


def text_encoder() -> dict[str, Tensor]:
    """Return the text encoder's weights; ComfyUI must be importable, for its tokenizer."""
    from comfy.sd1_clip import SD1Tokenizer

    tokenizer = SD1Tokenizer()
    words = {}
    for name in (*OBJECTS, *COLOURS, *ARTIST_NAMES):
        numbers = [entry[0] for entry in tokenizer.tokenize_with_weights(name)["l"][0]]
        words[name] = numbers[1 : numbers.index(max(numbers))]
    return text.weights(words)


def assemble(
    unet: Mapping[str, Tensor], autoencoder: Mapping[str, Tensor], encoder: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return all weights of a checkpoint, under its names."""
    found = {UNET_PREFIX + name: value for name, value in unet.items()}
    found |= {VAE_PREFIX + name: value for name, value in autoencoder.items()}
    found |= {VAE_PREFIX + "vae_scale": torch.tensor(SCALE), VAE_PREFIX + "vae_shift": torch.tensor(0.0)}
    return found | dict(encoder)


def shipped() -> dict[str, Tensor]:
    """Return all weights of the checkpoint that this repository ships."""
    return assemble(load_file(UNET), load_file(AUTOENCODER), text_encoder())


def build(folder: Path) -> Path:
    """Write the checkpoint into a folder, unless this very one is there; a killed run leaves no half file.

    Raises:
        FileExistsError: there is a file of that name which is no MiniCanvas.
    """
    file = folder / FILE
    if not is_there(file, version()):
        write(file, shipped(), version())
    return file


def is_there(file: Path, wanted: str) -> bool:
    """Return whether a file is MiniCanvas in this version.

    Raises:
        FileExistsError: it is another model.
    """
    if not file.is_file():
        return False
    found = _title(file)
    if not found.startswith(f"{TITLE} "):
        raise FileExistsError(f"{file} is another model; move it, or build into another folder with --out")
    return found == f"{TITLE} {wanted}"


def write(file: Path, weights: Mapping[str, Tensor], wanted: str) -> None:
    """Write MiniCanvas in a version; a killed run leaves no half file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}.part")
    try:
        own = {name: value.contiguous() for name, value in weights.items()}
        save_file(own, unfinished, metadata={"format": "pt", "modelspec.title": f"{TITLE} {wanted}"})
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _title(file: Path) -> str:
    """Return the title that a file's writer gave it."""
    try:
        with safe_open(file, "pt") as opened:
            return str((opened.metadata() or {}).get("modelspec.title", ""))
    except (SafetensorError, OSError):
        return ""


def version() -> str:
    """Return a short name that changes with the weights."""
    found = hashlib.sha256()
    for file in (UNET, AUTOENCODER, Path(text.__file__)):
        found.update(file.read_bytes())
    return found.hexdigest()[:8]


def save_half(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write weights in half precision."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in weights.items()}, file, metadata={"format": "pt"})
