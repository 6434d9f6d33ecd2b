"""The weights that an edit is evaluated on when it is exported."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..edits.edit import Edit
from ..edits.fingerprint import sample
from ..errors import ScaPreError
from ..families import Projections, having
from ..progress import Progress


class Matrices:
    """Reads the weights of an edit one at a time, and checks that they are the ones it is for."""

    def __init__(self, edit: Edit, weights: Projections, progress: Progress) -> None:
        """Compares the names.

        Raises:
            ScaPreError: If the edit is of another architecture than the weights.
        """
        here = having(weights, edit.roles)
        if set(edit.shapes) != set(here) or edit.family != weights.family:
            raise ScaPreError(
                f"edit: it was made for a {edit.family} model with {len(edit.shapes)} matrices to change, and this "
                f"{weights.family} model has {len(here)}, or others. Make the edit again on this model."
            )
        self.edit, self.weights, self.progress = edit, weights, progress
        self.samples: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Every name with its weight."""
        return ((name, self.read(name)) for name in self.edit.shapes)

    def read(self, name: str) -> Tensor:
        """One weight (n, d), on the CPU.

        Raises:
            ScaPreError: If it has another shape, or is not finite.
        """
        self.progress("export", len(self.samples), len(self.edit.shapes))
        weight = self.weights.read(name, torch.device("cpu"))
        if tuple(weight.shape) != self.edit.shapes[name]:
            raise ScaPreError(
                f"edit: {name} is {tuple(weight.shape)} here, but {self.edit.shapes[name]} where the edit was made."
            )
        if not all(bound.isfinite() for bound in weight.aminmax()):
            raise ScaPreError(f"model: {name} contains NaN or infinity. The file is damaged; get it again.")
        self.samples[name] = sample(weight)
        return weight

    def apart(self) -> float:
        """‖W' - W‖ / ‖W‖ between the weights and those the edit was solved from; all must have been read."""
        self.progress("export", len(self.samples), len(self.edit.shapes))
        return self.edit.difference({name: self.samples[name] for name in self.edit.shapes})

    def notes(self) -> tuple[str, ...]:
        """What to say of the weights, when all have been read."""
        apart = self.apart()
        return (f"these are other weights than the edit was solved from; they differ by {apart:.2%}.",) if apart else ()
