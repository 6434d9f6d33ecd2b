"""Eq. 1 and 2 of FIA: how strongly each weight takes part in an answer, and how much more it does for a concept.

|W| is a factor of all of it, and is left out until sums over prompts are done.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-8


def exact(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Eq. 1 without |W|, (n, d): ‖X_j‖ · |<X_j, Y_i>| / (‖X_j‖ ‖Y_i‖ + ε), of one prompt at one step.

    Args:
        inputs: X, (positions, d), what enters the matrix.
        outputs: Y = X Wᵀ, (positions, n).
    """
    across, along = inputs.norm(dim=0), outputs.norm(dim=0)
    found: Tensor = (outputs.T @ inputs).abs_()
    scale = torch.outer(along, across).add_(_TINY)
    saliency: Tensor = found.mul_(across).div_(scale)
    return saliency


def released(inputs: Tensor, outputs: Tensor) -> Tensor:
    """What the paper's code computes instead, (1, d): ‖X_j‖ with every position of X scaled to length 1."""
    lengths: Tensor = F.normalize(inputs, dim=1).norm(dim=0, keepdim=True)
    return lengths


class Moments:
    """Mean and deviation over prompts of one matrix's saliency, without keeping any of them (Welford's sums)."""

    def __init__(self) -> None:
        """Starts with no prompt."""
        self.count, self._mean, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, saliency: Tensor) -> None:
        """One more prompt's saliency."""
        self.count += 1
        if self.count == 1:
            self._mean, self._squares = saliency, torch.zeros_like(saliency)
            return
        apart = saliency - self._mean
        self._mean += apart / self.count
        self._squares.addcmul_(apart, saliency.sub_(self._mean))

    def bound(self) -> Tensor:
        """μ + σ, which takes the place of both, so that they can be let go of."""
        return self._mean.add_(self._squares.div_(self.count).sqrt_())


class Contrast:
    """μ_c - μ_b - σ_b of one matrix: prompts of a concept are added to what the base prompts gave."""

    def __init__(self, bound: Tensor, count: int, *, last: bool = False) -> None:
        """Takes μ_b + σ_b, which is given up where this is the last one, and the number of prompts to be added."""
        self._count, self._found = count, bound.neg_() if last else -bound

    def add(self, saliency: Tensor) -> None:
        """One more prompt's saliency."""
        self._found.add_(saliency, alpha=1 / self._count)

    def value(self) -> Tensor:
        """Eq. 2, max(0, μ_c - μ_b - σ_b), without |W|: (n, d), or (1, d) where a weight's row makes no difference."""
        return self._found.clamp_(min=0)
