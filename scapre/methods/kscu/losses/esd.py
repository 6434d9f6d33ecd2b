"""Erased Stable Diffusion (arXiv 2303.07345), the ancestor: any step, and nothing is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.nn.functional import mse_loss

from ..steps import Entry, any_steps
from .loss import Predictions, led_away


class ESD:
    """MSE(ε*_c, ε_u - g (ε_c - ε_u)), in pictures that are drawn anew at every iteration."""

    def table(self, settings: Any, seed: int) -> Iterator[Entry]:
        """Any step."""
        return any_steps(settings.first, settings.steps, seed)

    def __call__(self, tuned: Predictions, frozen: Predictions, timestep: float, settings: Any) -> Tensor:
        """The one term."""
        return mse_loss(tuned.concept, led_away(frozen, settings))
