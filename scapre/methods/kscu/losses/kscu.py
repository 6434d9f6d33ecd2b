"""KSCU's loss (arXiv 2507.06526): late steps alone, and the empty prompt is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.nn.functional import mse_loss

from ..steps import Entry, key_steps
from .loss import Predictions, led_away

_NOISE = 1000  # time steps


class KSCULoss:
    """MSE(ε*_c, ε_u - g (ε_c - ε_u)) + l2 MSE(ε*_u, ε_u - l1 (ε_c - ε_u)), l1 in proportion to the noise taken away."""

    def table(self, settings: Any, seed: int) -> Iterator[Entry]:
        """The Key Step Table."""
        return key_steps(settings.first, settings.steps, settings.passes)

    def __call__(self, tuned: Predictions, frozen: Predictions, timestep: float, settings: Any) -> Tensor:
        """Both terms."""
        away = settings.empty_erase * (_NOISE - timestep)
        empty = frozen.empty - away * (frozen.concept - frozen.empty)
        erased = mse_loss(tuned.concept, led_away(frozen, settings))
        loss: Tensor = erased + settings.empty_weight * mse_loss(tuned.empty, empty)
        return loss
