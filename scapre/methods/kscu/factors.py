"""What is trained of a matrix: two factors of low rank, or all of its change."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ADAM = {"first": "exp_avg", "second": "exp_avg_sq"}
"""Adam's moments: what payloads and PyTorch call them."""


def numbers(shape: Sequence[int], rank: int) -> int:
    """How many numbers are trained of a weight; rank 0 is all of it."""
    n, d = shape[0], math.prod(shape[1:])
    return min(rank, n, d) * (n + d) if rank else n * d


class Trained(nn.Module):
    """What is added to the answer of a layer, float32, whatever the layer computes in."""

    @abstractmethod
    def forward(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """What is added to the layer's answer to what enters it."""


class LowRank(Trained):
    """ΔW = up · down, from nothing: up is zero, down as PyTorch initialises a linear layer."""

    def __init__(self, shape: Sequence[int], rank: int, generator: torch.Generator) -> None:
        """Draws `down`.

        Args:
            shape: That the model keeps the weight in.
            rank: At most; no more than the matrix has.
            generator: On the CPU.
        """
        super().__init__()
        n, d = shape[0], math.prod(shape[1:])
        rank, bound = min(rank, n, d), 1 / math.sqrt(d)
        self.up = nn.Parameter(torch.zeros(n, rank))
        self.down = nn.Parameter((2 * torch.rand(rank, d, generator=generator) - 1) * bound)

    def forward(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """Through the factors, which takes less than through their product."""
        up, down = self.up.to(inputs.dtype), self.down.to(inputs.dtype)
        if not isinstance(layer, nn.Conv2d):
            return functional.linear(functional.linear(inputs, down), up)
        narrow = _convolve(layer, inputs, down.unflatten(1, layer.weight.shape[1:]))
        return functional.conv2d(narrow, up[:, :, None, None])


class Full(Trained):
    """ΔW itself, from zero."""

    def __init__(self, shape: Sequence[int]) -> None:
        """Starts at zero."""
        super().__init__()
        self.change = nn.Parameter(torch.zeros(shape[0], math.prod(shape[1:])))

    def forward(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """Through a layer of its own."""
        change = self.change.to(inputs.dtype)
        if not isinstance(layer, nn.Conv2d):
            return functional.linear(inputs, change)
        return _convolve(layer, inputs, change.unflatten(1, layer.weight.shape[1:]))


def _convolve(layer: nn.Conv2d, inputs: Tensor, weight: Tensor) -> Tensor:
    padding: Any = layer.padding
    return functional.conv2d(inputs, weight, None, layer.stride, padding, layer.dilation, layer.groups)


def make(shapes: Mapping[str, Sequence[int]], rank: int, seed: int) -> dict[str, Trained]:
    """What is trained of each matrix, by name."""
    generator = torch.Generator().manual_seed(seed)
    return {name: LowRank(shape, rank, generator) if rank else Full(shape) for name, shape in shapes.items()}
