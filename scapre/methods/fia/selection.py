"""Eq. 3 to 8 of FIA: which weights answer a concept, and which of them are cut for a list of concepts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_ROUNDING = 1e-9  # 0.7 x 10 is a little more than 7 in binary


class Sensitivity:
    """Eq. 3, A = ½ mean_t S + ½ mean_t 1[S > τ_t] of one matrix; S is |W| times what `Contrast` gives at a step."""

    def __init__(self, share: float, steps: int) -> None:
        """Takes r1 and the number of steps."""
        self._share, self._part = share, 0.5 / steps
        self._sum: Tensor | None = None

    def add(self, contrast: Tensor, weight: Tensor) -> None:
        """One more step, (n, d)."""
        saliency = weight.abs() * contrast
        often = saliency > _threshold(saliency, self._share)
        if self._sum is None:
            self._sum = torch.zeros_like(saliency)
        self._sum.add_(saliency.add_(often), alpha=self._part)

    def value(self, weight: Tensor) -> Tensor:
        """A, (n, d)."""
        assert self._sum is not None
        return self._sum


class ReleasedSensitivity(Sensitivity):
    """The same as the paper's code has it, with mean_t S scaled to a greatest value of 1.

    There S is |W| times one row a step, so that the rows are all that has to be kept.
    """

    def __init__(self, share: float, steps: int) -> None:
        """Takes r1 and the number of steps."""
        super().__init__(share, steps)
        self._rows: list[Tensor] = []

    def add(self, contrast: Tensor, weight: Tensor) -> None:
        """One more step, (1, d)."""
        self._rows.append(contrast)

    def value(self, weight: Tensor) -> Tensor:
        """A, (n, d)."""
        size, rows = weight.abs(), torch.stack(self._rows).to(weight.device)
        found = size * rows.mean(0)
        found *= 0.5 / found.max().clamp(min=torch.finfo(found.dtype).tiny)
        for row in rows:
            saliency = size * row
            found.add_(saliency > _threshold(saliency, self._share), alpha=self._part)
        return found


def _threshold(values: Tensor, share: float) -> Tensor:
    """The greatest value that no more than a share of the values exceeds."""
    flat = values.flatten()
    return flat.kthvalue(len(flat) - min(int(share * len(flat)), len(flat) - 1)).values


def select(sensitivity: Tensor, share: float) -> Tensor:
    """Eq. 4 to 6, Q (n, d): what is in the top share r2 of its row and of the matrix; at least one of each.

    What answers no more than without the concept is in neither, and of equal values those on the left count first.
    """
    n, d = sensitivity.shape
    ranked = _first(sensitivity, max(1, int(share * d)))
    layer = _first(sensitivity.flatten(), max(1, int(share * n * d)))
    return ranked & layer.view(n, d) & (sensitivity > 0)


def _first(values: Tensor, count: int) -> Tensor:
    """Which are the greatest so many along the last dimension; of equal ones the first, on every device."""
    least = values.kthvalue(values.shape[-1] - count + 1, dim=-1, keepdim=True).values
    above, level = values > least, values == least
    return above | (level & (level.cumsum(-1, dtype=torch.int32) <= count - above.sum(-1, keepdim=True)))


@dataclass(frozen=True)
class Fused:
    """Eq. 7 and 8 for one matrix.

    Attributes:
        cut: (n, d), what is set to zero.
        shared: (n, d), what so many concepts have in common that it stays.
        kept: (n, d), what would be cut if no preserved name needed it.
    """

    cut: Tensor
    shared: Tensor
    kept: Tensor


def agnostic_from(ratio: float, concepts: int) -> int:
    """How many concepts a weight must answer to be no concept's own: ⌈α C⌉, and never one alone."""
    return max(2, math.ceil(ratio * concepts - _ROUNDING))


def fuse(selected: Tensor, concepts: int, ratio: float) -> Fused:
    """Which weights are cut.

    Args:
        selected: (names, n, d), Q of every concept and then of every preserved name.
        concepts: How many of them are concepts.
        ratio: α.
    """
    counts = selected[:concepts].sum(0)
    shared = counts >= agnostic_from(ratio, concepts)
    own = (counts > 0) & ~shared
    needed = selected[concepts:].any(0)
    return Fused(own & ~needed, shared, own & needed)
