"""Sculpting Memory's dynamic mask (arXiv 2504.09039): of each matrix the entries with the largest gradients alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter


class Mask:
    """Chooses the entries again after some iterations, since those that matter change while a model learns."""

    def __init__(self, share: float, every: int) -> None:
        """Keeps a share of the entries, chosen anew after `every` iterations."""
        self._share, self._every = share, every
        self._kept: list[Tensor] = []

    def apply(self, parameters: Sequence[Parameter], done: int) -> None:
        """Takes the gradients of all other entries away, before the optimiser's step."""
        if self._share >= 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not self._kept or done % self._every == 0:
            self._kept = [_largest(gradient, self._share) for gradient in gradients]
        for gradient, kept in zip(gradients, self._kept, strict=True):
            gradient.mul_(kept)


def _largest(gradient: Tensor, share: float) -> Tensor:
    """Where the largest are; everywhere if there is none, as in a factor whose other one is still zero."""
    sizes = gradient.abs().flatten()
    if not sizes.any():
        return torch.ones_like(gradient, dtype=torch.bool)
    count = max(1, round(share * sizes.numel()))
    return torch.zeros_like(sizes, dtype=torch.bool).index_fill_(0, sizes.topk(count).indices, True).view_as(gradient)
