"""A model as training needs it; hosts provide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .factors import Trained


class TextNoise(NamedTuple):
    """Noise on the text: its standard deviation, and the seed it is drawn from."""

    size: float
    seed: int


class Denoiser(Protocol):
    """Predicts noise, (pictures, channels, …), in latents on their way from noise to pictures.

    A step takes latents x at a noise level σ to x + (σ' - σ) ε at the next one, as Euler's sampler does.
    """

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        ...

    @property
    def sigmas(self) -> Sequence[float]:
        """σ at every step, and 0 after the last."""
        ...

    @property
    def timesteps(self) -> Sequence[float]:
        """Of every step, from 1,000 at the noise to 0."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the latents of one picture, (channels, …)."""
        ...

    def start(self, noise: Tensor) -> Tensor:
        """Latents at the first step from noise of variance 1, both (pictures, channels, …)."""
        ...

    def predict(self, latents: Tensor, step: int, texts: Sequence[str], noise: TextNoise | None = None) -> Tensor:
        """ε for latents at a step, float32, with a text for each."""
        ...

    def with_factors(self, trained: Mapping[str, Trained]) -> AbstractContextManager[None]:
        """Inside of it, every layer's answer has what is trained of it added, also when gradients are taken."""
        ...
