"""The methods an edit can be computed with. A new one is a module here and a line in `METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from ..errors import ScaPreError, shorten
from .scapre import precise, scale
from .change import Change
from .scapre.settings import Settings


class Solve(Protocol):
    """Evaluates an edit on a weight, from statistics that were taken once."""

    def __call__(
        self, shared: Mapping[str, Tensor], rows: Mapping[str, Tensor], weight: Tensor, settings: Settings
    ) -> Change:
        """W' - W for a weight (n, d) in the dtype and on the device of `shared`."""
        ...


METHODS: Mapping[str, Solve] = {"precise": precise.solve, "scale": scale.solve}


def method(name: str) -> Solve:
    """Looks a method up.

    Raises:
        ScaPreError: If there is none of this name.
    """
    if name not in METHODS:
        raise ScaPreError(f"method: {shorten(name)} is unknown. Choose one of {', '.join(METHODS)}.")
    return METHODS[name]
