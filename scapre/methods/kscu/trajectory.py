"""Pictures on their way, by Euler's steps with guidance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .denoiser import Denoiser

_SEEDS = 2**31


def seeded(*parts: int) -> torch.Generator:
    """A generator of its own for each combination of numbers, so that a run can go on anywhere."""
    state = 0
    for part in parts:
        state = (state * 1_000_003 + part + 1) % (2**61 - 1)
    return torch.Generator().manual_seed(state)


def number(generator: torch.Generator) -> int:
    """A seed drawn from a generator."""
    return int(torch.randint(_SEEDS, (), generator=generator))


def noise(denoiser: Denoiser, pictures: int, generator: torch.Generator) -> Tensor:
    """Latents at the first step."""
    drawn = torch.stack([torch.randn(denoiser.shape, generator=generator) for _ in range(pictures)])
    return denoiser.start(drawn.to(denoiser.device))


def guided(concept: Tensor, empty: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance."""
    return empty + guidance * (concept - empty)


def advance(denoiser: Denoiser, latents: Tensor, step: int, predicted: Tensor, to: int | None = None) -> Tensor:
    """The latents at the next step, or at a later one."""
    return latents + (denoiser.sigmas[step + 1 if to is None else to] - denoiser.sigmas[step]) * predicted


@torch.no_grad()
def walk(denoiser: Denoiser, latents: Tensor, texts: Sequence[str], stops: Sequence[int], guidance: float) -> Tensor:
    """Takes latents from the first of some steps to the last, and asks the model at no others."""
    pictures = len(latents)
    for step, to in pairwise(stops):
        concept, empty = denoiser.predict(torch.cat([latents] * 2), step, [*texts, *[""] * pictures]).split(pictures)
        latents = advance(denoiser, latents, step, guided(concept, empty, guidance), to)
    return latents
