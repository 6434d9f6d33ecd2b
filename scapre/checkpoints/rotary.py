"""Rotary positions: each pair of numbers of a head is turned by its position times a frequency (arXiv 2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotated(states: Tensor, base: float, first: int = 0) -> Tensor:
    """Queries or keys (…, tokens, head) with their positions; the halves of a head are the parts of its pairs.

    Args:
        states: One vector for each token.
        base: θ of the frequencies θ^(-2i/head).
        first: Position of the first token.
    """
    tokens, head = states.shape[-2:]
    frequencies = base ** (-torch.arange(0, head, 2).float() / head)
    angles = torch.arange(first, first + tokens).float()[:, None] * frequencies
    cosines, sines = (torch.cat((part, part), -1) for part in (angles.cos(), angles.sin()))
    one, other = states.chunk(2, -1)
    return states * cosines + torch.cat((-other, one), -1) * sines
