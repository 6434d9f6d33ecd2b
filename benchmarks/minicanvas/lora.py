"""A LoRA as users have them: learned from drawings that have nothing to do with what the tasks erase with it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from . import captions, checkpoint, network
from .artists import SIDE, Array
from .drawing import draw_all
from .inprocess import Loaded, encode, load
from .training import Loss, Plan, Run
from .world import COLOURS, OBJECTS, Picture

PLAN = Plan("lora", steps=300, rate=1e-3, warm_up=20, decay=0.98, weight_decay=0.0)
RANK, BATCH, COUNT, SEED = 8, 16, 320, 70_000
WORDING = "a {colour} {object} in a frame"
FRAME = 4
"""Width of what it learns to draw, in pixels."""
FRAMED = (115, 65, 25)
UNRELATED = tuple(name for name in OBJECTS if name not in ("moon", "banana", "flower", "sun"))
"""The objects it is shown: not those that are erased with it, nor their twins."""
LAYERS = (".to_q", ".to_k", ".to_v", ".to_out.0")


class Added(nn.Module):
    """What a LoRA adds to one weight."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, layer.in_features) / math.sqrt(layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, RANK))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with it."""
        return weight + self.up @ self.down


def drawings() -> tuple[Array, list[str]]:
    """Return drawings, every second in a frame, and a caption for each."""
    chance = np.random.Generator(np.random.PCG64(SEED))
    pairs = zip(chance.choice(UNRELATED, COUNT), chance.choice(list(COLOURS), COUNT), strict=True)
    pictures = [Picture(str(name), str(colour)) for name, colour in pairs]
    drawn, wordings = draw_all(pictures, SEED), (WORDING, captions.WITHOUT_ARTIST[0])
    inner = slice(FRAME, SIDE - FRAME)
    framed = np.full_like(drawn, FRAMED)
    framed[:, inner, inner] = drawn[:, inner, inner]
    drawn[::2] = framed[::2]
    return drawn, [captions.write(wordings[place % 2], picture) for place, picture in enumerate(pictures)]


def start(file: Path) -> tuple[Run, nn.Module]:
    """Begin to train it, or go on; returns the run, whose model is the LoRA alone, and the UNet that carries it."""
    unet = network.create()
    unet.load_state_dict({name: value.float() for name, value in load_file(checkpoint.UNET).items()})
    unet.requires_grad_(False)
    torch.manual_seed(SEED)
    parts = nn.ModuleDict()
    for name, layer in list(unet.named_modules()):
        if isinstance(layer, nn.Linear) and name.endswith(LAYERS):
            parts[name.replace(".", "/")] = Added(layer)
            parametrize.register_parametrization(layer, "weight", parts[name.replace(".", "/")])
    return Run(PLAN, parts, file), unet


def loss_on(unet: nn.Module, loaded: Loaded) -> Loss:
    """Return the loss: the error of the predicted noise, as the UNet itself was trained."""
    pixels, texts = drawings()
    with torch.no_grad():
        latents = loaded.model.model.process_latent_in(
            loaded.vae.encode(torch.from_numpy(pixels).float() / 255)
        ).float()
    states = encode(loaded.clip, ["", *texts]).float().clone()
    return network.captioned_loss(unet, latents, states, BATCH)


def train(folder: Path, out: Path, until: float) -> bool:
    """Train it and write it in ComfyUI's own format; returns whether it is finished."""
    run, unet = start(folder / "lora.pt")
    if not run.go(loss_on(unet, load(checkpoint.shipped())), until):
        return False
    found = {}
    for name in run.model:
        key = "diffusion_model." + name.replace("/", ".")
        down, up = (run.averaged[f"{name}.{part}"] for part in ("down", "up"))
        found |= {
            f"{key}.lora_down.weight": down,
            f"{key}.lora_up.weight": up,
            f"{key}.alpha": torch.tensor(float(RANK)),
        }
    checkpoint.save_half(found, out)
    return True
