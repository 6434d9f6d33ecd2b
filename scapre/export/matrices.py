"""The weights that an edit is evaluated on when it is exported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..edits.edit import Edit
from ..edits.fingerprint import sample
from ..errors import ScaPreError
from ..families import Part, Projections, by_weight, having
from ..methods.change import Change
from ..progress import Progress


class Matrices:
    """Reads the weights of an edit one at a time, and checks that they are the ones it is for."""

    def __init__(self, edit: Edit, weights: Projections, progress: Progress, stage: str = "export") -> None:
        """Compares the names.

        Args:
            edit: Its weights are read.
            weights: Of a model.
            progress: Told of each weight; may raise to stop.
            stage: What they are read for.

        Raises:
            ScaPreError: If the edit is of another architecture than the weights.
        """
        here = having(weights, edit.roles)
        if set(edit.matrices) != set(here) or edit.family != weights.family:
            raise ScaPreError(
                f"edit: it was made for {edit.family} models with {len(edit.matrices)} matrices to change, and this "
                f"{weights.family} model has {len(here)}, or others. Make the edit again on this model."
            )
        self.edit, self.weights, self.progress, self.stage = edit, weights, progress, stage
        self.parts = by_weight(edit.matrices)
        self.samples: dict[str, Tensor] = {}

    def changes(self, weight: str) -> dict[Part, Change]:
        """The changes of the matrices in a weight; most weights are one matrix."""
        return {part: self.edit.change(part.name, self.read(part.name)) for part in self.parts[weight]}

    def shape(self, weight: str) -> tuple[int, ...]:
        """The shape that the model keeps a weight in, whole."""
        return self.weights.shape(weight)

    def read(self, name: str) -> Tensor:
        """One weight (n, d), on the CPU.

        Raises:
            ScaPreError: If it has another shape, or is not finite.
        """
        self.progress(self.stage, len(self.samples), len(self.edit.matrices))
        weight = self.weights.read(name, torch.device("cpu"))
        if tuple(weight.shape) != self.edit.matrices[name]:
            raise ScaPreError(
                f"edit: {name} is {tuple(weight.shape)} here, but {self.edit.matrices[name]} where the edit was made."
            )
        if not all(bound.isfinite() for bound in weight.aminmax()):
            raise ScaPreError(f"model: {name} contains NaN or infinity. The file is damaged; get it again.")
        self.samples[name] = sample(weight)
        return weight

    def apart(self) -> float:
        """‖W' - W‖ / ‖W‖ between the weights and those the edit was solved from; all must have been read."""
        self.progress(self.stage, len(self.samples), len(self.edit.matrices))
        return self.edit.difference({name: self.samples[name] for name in self.edit.matrices})

    def notes(self) -> tuple[str, ...]:
        """What to say of the weights, when all have been read."""
        apart = self.apart()
        return (f"these are other weights than the edit was solved from; they differ by {apart:.2%}.",) if apart else ()


def stacked(changes: Mapping[Part, Change], shape: tuple[int, ...]) -> Change:
    """The change of a whole weight from those of its matrices; what is not edited changes by nothing.

    Args:
        changes: Of its matrices.
        shape: Of the weight.
    """
    part, first = next(iter(changes.items()))
    if part.whole:
        return first
    if part.columns and first.basis is not None and first.rows is None:  # as thin as it was
        more = math.prod(shape[1:]) - part.columns
        return replace(first, basis=pad(first.basis, (0, 0, 0, more)), known_norm=first.norm)
    whole = first.dense().new_zeros(shape[0], math.prod(shape[1:]))
    for part, change in changes.items():
        part.of(whole).copy_(change.dense())
    return replace(first, coefficients=whole, basis=None, rows=None, known_norm=None)
