"""The weights that an edit is evaluated on when it is exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..edits.edit import Edit
from ..edits.fingerprint import sample
from ..errors import ScaPreError
from ..families import Part, Projections, by_weight, having
from ..methods.change import Change
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
        self.parts = by_weight(edit.shapes)
        self.samples: dict[str, Tensor] = {}

    def changes(self, weight: str) -> dict[Part, Change]:
        """The changes of the matrices in a weight; most weights are one matrix."""
        return {part: self.edit.change(part.name, self.read(part.name)) for part in self.parts[weight]}

    def shape(self, weight: str) -> tuple[int, ...]:
        """The shape that the model keeps a weight in, whole."""
        first = self.parts[weight][0]
        rows, *rest = self.weights.shape(first.name)
        return rows * first.count, *rest

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


def stacked(changes: Mapping[Part, Change]) -> Change:
    """The change of a whole weight from those of its matrices; those that are not edited change by nothing."""
    first, count = next(iter(changes.values())), next(iter(changes)).count
    if count == 1:
        return first
    dense = {part.index: change.dense() for part, change in changes.items()}
    none = torch.zeros_like(next(iter(dense.values())))
    whole = torch.cat([dense.get(index, none) for index in range(count)])
    return replace(first, coefficients=whole, basis=None, rows=None, known_norm=None)
