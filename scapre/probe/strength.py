"""The least strength of an edit at which a model says little enough of every erased name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..progress import Progress, silent
from .scores import Asked, Probed, Row, rows_of

USUAL, MOST = 1.0, 2.0
"""The strength that an edit was solved for, which is tried first, and the greatest one that is tried."""
_CLOSE = 1 / 16
TRIES = 6
"""Strengths that are tried at most: both of these, and halves down to a sixteenth."""


@dataclass(frozen=True)
class Strength:
    """A strength that was found.

    Attributes:
        value: It; the greatest one where none suffices.
        reached: Whether it suffices.
        probed: What was found there, of preserved names too.
        tried: All strengths that were tried, in that order, and the most that was left of a name at each.
    """

    value: float
    reached: bool
    probed: Probed
    tried: Sequence[tuple[float, float]]

    @property
    def left(self) -> Row:
        """The name of which most is left."""
        return max(rows_of(self.probed, "erased"), key=lambda row: row.overall)


def least_strength(
    asked: Asked, set_to: Callable[[float], None], threshold: float, progress: Progress = silent
) -> Strength:
    """Looks for it by halves: what is left falls as the strength rises.

    Args:
        asked: What the original model says of the names.
        set_to: Gives the edited model a strength.
        threshold: What may be left of every name.
        progress: Told each step; may raise to stop.

    Raises:
        ScaPreError: See `Asked`.
    """
    tried: list[tuple[float, float]] = []

    def suffices(strength: float) -> bool:
        set_to(strength)
        found = asked.against(progress, stays=False)
        tried.append((strength, max(row.overall for row in rows_of(found, "erased"))))
        return tried[-1][1] <= threshold

    low, high = 0.0, USUAL
    reached = suffices(high)
    if not reached:
        low, high = USUAL, MOST
        reached = suffices(high)
    while reached and high - low > _CLOSE and len(tried) < TRIES:
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    set_to(high)
    return Strength(high, reached, asked.against(progress), tried)
