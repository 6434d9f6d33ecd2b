"""Edits W' = W (I + B) of methods that promise that some states do not move at all: B H = 0."""

from __future__ import annotations

import torch
from torch import Tensor

from .right import right_factors, right_matrix

_EXACT = 1e-6  # of B: as much as single precision may leave out


def held_factors(left: Tensor, right: Tensor, held: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """The payload of B = left rightᵀ, in a form in which what is held stays held.

    Thin factors keep B H = 0 to their own precision. B as a whole is kept in half precision, and H with it.

    Args:
        left: (d, m), float64.
        right: (d, m), float64.
        held: (d, h) H, orthonormal, float64; h may be 0.
        dtype: Of the payload.
    """
    if not held.shape[1] or 4 * right.shape[1] <= len(right):
        return right_factors(left, right, dtype)
    return right_matrix(left @ right.T, held, _EXACT, dtype)
