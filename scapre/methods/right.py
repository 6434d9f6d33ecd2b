"""Edits that multiply every weight on its right by one matrix: W' = W (I + B), as most closed forms are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .change import Change
from .method import Method
from .payload import Kind, Layout, Tensors

_SHARED = {"left": Kind(None, "dk"), "basis": Kind(None, "dk", -1.01, 1.01)}


class RightMethod(Method):
    """A method whose edit is B = L Qᵀ for all its matrices, with orthonormal Q (d, k) and k no more than its rank.

    So an edit is two thin matrices however many a model has, and a weight's change is one product with each of them.
    """

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """W B."""
        weight = weight.to(shared["basis"])
        return Change(weight @ shared["left"], shared["basis"], weight)

    def layout(self, settings: Any) -> Layout:
        """L and Q."""
        return Layout(_SHARED)


def right_factors(left: Tensor, right: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """The payload of B = left rightᵀ.

    Args:
        left: (d, m), float64.
        right: (d, m), float64.
        dtype: Of the payload.
    """
    basis, triangle = torch.linalg.qr(right)
    return {"left": (left @ triangle.T).to(dtype), "basis": basis.to(dtype)}
