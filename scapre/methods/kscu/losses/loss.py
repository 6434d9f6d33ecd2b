"""What a loss is given, and what it has to give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from ..steps import Entry


@dataclass(frozen=True)
class Predictions:
    """Noise that a model predicts in latents, each (pictures, channels, …).

    Attributes:
        concept: With the concept's prompt.
        empty: With the empty prompt.
        instead: With what takes the concept's place.
    """

    concept: Tensor
    empty: Tensor
    instead: Tensor


class Loss(Protocol):
    """What is minimised, and at which steps."""

    def table(self, settings: Any, seed: int) -> Iterator[Entry]:
        """The step of each iteration, without end."""
        ...

    def __call__(self, tuned: Predictions, frozen: Predictions, timestep: float, settings: Any) -> Tensor:
        """The loss.

        Args:
            tuned: What the trained model predicts; with nothing in the concept's place.
            frozen: What the model before predicts.
            timestep: 1,000 at the noise, 0 at the picture.
            settings: Of KSCU.
        """
        ...


def led_away(frozen: Predictions, settings: Any) -> Tensor:
    """ε_u - g (ε_c - ε_u): where a concept should go, with what takes its place for the empty prompt's ε_u."""
    away: Tensor = frozen.instead - settings.erase * (frozen.concept - frozen.instead)
    return away
