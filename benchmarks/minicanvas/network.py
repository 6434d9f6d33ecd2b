"""The diffusion model: a UNet that ComfyUI detects as SD1.5, and how it learns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from . import captions
from .training import Loss, Plan, Run, reduced
from .world import Picture

PLAN = Plan("unet", steps=5000, rate=5e-4, warm_up=100, decay=0.9985)
BATCH = 32
SEED = 3
WORDINGS = 2
"""Full captions kept for each combination with an artist: all are trained, but not each with each."""
EMPTY, COLOURLESS, ARTIST_ALONE = 0.1, 0.12, 0.05
"""Shares of the captions that say nothing (for guidance), no colour, and only the artist."""
SIGNAL_LIMIT = 5.0
"""Where the signal-to-noise weighting stops (min-SNR, arXiv 2303.09556)."""
STEPS = 1000

Choices: TypeAlias = dict[Picture, tuple[list[int], list[int], list[int]]]
"""Numbers of the captions that say everything, all but the colour, and only the artist."""

SHAPE = {
    "image_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "num_heads": 8,
    "use_spatial_transformer": True,
    "transformer_depth": [1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1],
    "context_dim": 768,
    "legacy": False,
}
"""One level at the latents' own size: 25.8 M parameters, four cross-attentions."""
ZERO_AT_START = ("out.2", "out_layers.3", "proj_out")


def create(seed: int = SEED, **more: Any) -> nn.Module:
    """Return the host's own UNet with fresh weights, which the host itself never makes; `more` is of its shape."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    torch.manual_seed(seed)
    model = UNetModel(**SHAPE, **more, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    for name, layer in model.named_modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            kind = nn.Linear if isinstance(layer, nn.Linear) else nn.Conv2d
            kind.reset_parameters(layer)  # the host's subclasses have switched their own off
            if name.endswith(ZERO_AT_START):
                nn.init.zeros_(layer.weight)
        elif isinstance(layer, (nn.GroupNorm, nn.LayerNorm)):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model.to(memory_format=torch.channels_last)


def signal_shares() -> Tensor:
    """Return the share of signal in the variance at each of Stable Diffusion's 1,000 times."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


@dataclass(frozen=True)
class Lessons:
    """Latents, what they show, and the states of the captions that ask for them.

    Attributes:
        latents: (count, 4, 8, 8).
        pictures: the combination that each of the latents shows.
        states: (captions, 77, 768) in half precision.
        choices: for each combination the captions that say everything, all but the colour, and only the artist.
    """

    latents: Tensor
    pictures: list[Picture]
    states: Tensor
    choices: Choices

    def caption(self, picture: Picture, random: np.random.Generator) -> int:
        """Choose a caption of a picture; 0 says nothing."""
        full, colourless, artist = self.choices[picture]
        chance = random.random()
        if chance < EMPTY:
            return 0
        if chance < EMPTY + COLOURLESS:
            return int(random.choice(colourless))
        if artist and chance < EMPTY + COLOURLESS + ARTIST_ALONE:
            return int(random.choice(artist))
        return int(random.choice(full))


def training_captions(pictures: list[Picture]) -> tuple[list[str], Choices]:
    """Return the captions that are trained on, the empty one first, and which of them a combination may have."""
    numbers = {captions.NOTHING: 0}
    random = np.random.Generator(np.random.PCG64(SEED))
    choices: Choices = {}
    for picture in dict.fromkeys(pictures):
        wordings = captions.trained_wordings(picture)
        kept = random.permutation(wordings["full"])[: WORDINGS if picture.artist else None]

        def number(group: Iterable[str]) -> list[int]:
            return [numbers.setdefault(str(text), len(numbers)) for text in group]

        choices[picture] = number(kept), number(wordings["colourless"]), number(wordings["artist"])
    return list(numbers), choices


def start(file: Path) -> Run:
    """Begin to train a network, or go on with one."""
    return Run(PLAN, create(), file)


def loss_on(run: Run, lessons: Lessons) -> Loss:
    """Return the loss: the error of the predicted noise, weighted by the signal-to-noise ratio."""
    shares = signal_shares()

    def loss(random: torch.Generator, step: int) -> Tensor:
        chosen = torch.randint(len(lessons.latents), (BATCH,), generator=random)
        chance = np.random.Generator(np.random.PCG64([SEED, step]))
        said = [lessons.caption(lessons.pictures[index], chance) for index in chosen.tolist()]
        latents = lessons.latents[chosen]
        noise = torch.randn(latents.shape, generator=random)
        times = torch.randint(STEPS, (BATCH,), generator=random)
        share = shares[times].view(-1, 1, 1, 1)
        noisy = (share.sqrt() * latents + (1 - share).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        with reduced():
            predicted = run.model(noisy, times.float(), context=lessons.states[said].float())
        return _weighted(predicted, noise, shares[times])

    return loss


def captioned_loss(unet: nn.Module, latents: Tensor, states: Tensor, batch: int) -> Loss:
    """Return the same loss on a few latents with a caption each; now and then nothing is said.

    Args:
        unet: what is trained.
        latents: (count, 4, 8, 8).
        states: (1 + count, 77, 768) of the empty prompt and of their captions.
        batch: how many are taken at once.
    """
    shares = signal_shares()

    def loss(random: torch.Generator, _: int) -> Tensor:
        chosen = torch.randint(len(latents), (batch,), generator=random)
        noise = torch.randn(batch, *latents.shape[1:], generator=random)
        times = torch.randint(STEPS, (batch,), generator=random)
        share = shares[times].view(-1, 1, 1, 1)
        said = torch.where(torch.rand(batch, generator=random) < EMPTY, 0, chosen + 1)
        with reduced():
            noisy = share.sqrt() * latents[chosen] + (1 - share).sqrt() * noise
            predicted = unet(noisy, times.float(), context=states[said])
        return _weighted(predicted, noise, shares[times])

    return loss


def _weighted(predicted: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """The error of the predicted noise, weighted by the signal-to-noise ratio of each of the batch."""
    error = (predicted.float() - noise).square().mean((1, 2, 3))
    ratio = share / (1 - share)
    return (error * ratio.clamp(max=SIGNAL_LIMIT) / ratio).mean()
