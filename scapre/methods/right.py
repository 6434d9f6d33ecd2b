"""Edits that multiply every weight on its right by one matrix: W' = W (I + B), as most closed forms are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from ..linalg import product, thin
from .change import Change
from .method import Method
from .payload import Kind, Layout, Payload, Tensors

_THIN = {"left": Kind(None, "dk"), "basis": Kind(None, "dk", -1.01, 1.01)}
_DENSE = {"matrix": Kind(torch.float16, "dd")}
_HELD = {"held": Kind(None, "dh", -1.01, 1.01)}
_SHARE = 4  # of the width: two factors in single precision are then as large as the matrix in half


class RightMethod(Method):
    """A method whose edit is one B for all its matrices: so it is as large for many layers as for one.

    Up to a quarter of the width, B = L Qᵀ with orthonormal Q (d, k), and a weight's change is one product with each.
    Beyond that B itself is kept in half precision, and with it an orthonormal H (d, h) of what must not move at all,
    which rounding would: B H = 0 in exact numbers, and B (I - H Hᵀ) is applied.
    """

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """W B."""
        if "matrix" not in shared:
            weight = weight.to(shared["basis"])
            return Change(product(weight, shared["left"]), shared["basis"], weight)
        weight = weight.to(shared["matrix"].device, torch.float32)
        moved = product(weight, shared["matrix"].float())
        if "held" in shared:
            moved -= product(moved, shared["held"]) @ shared["held"].T
        return Change(moved, None, weight)

    def layout(self, settings: Any, held: Collection[str]) -> Layout:
        """L and Q, or B and perhaps H."""
        if "matrix" not in held:
            return Layout(_THIN)
        return Layout(_DENSE | (_HELD if "held" in held else {}))

    def figures(self, payload: Payload, settings: Any) -> dict[str, float]:
        """The rank of B, or its width where B is kept whole."""
        return {"rank": payload.shared["left" if "left" in payload.shared else "matrix"].shape[1]}


def right_factors(left: Tensor, right: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """The payload of B = left rightᵀ.

    Args:
        left: (d, m), float64.
        right: (d, m), float64.
        dtype: Of the payload; in float64 it is always factors.
    """
    if min(right.shape) > len(right) // _SHARE and dtype == torch.float32:
        whole = {"matrix": (left @ right.T).half()}
        if whole["matrix"].isfinite().all():
            return whole
    basis, triangle = torch.linalg.qr(right)
    return {"left": (left @ triangle.T).to(dtype), "basis": basis.to(dtype)}


def right_matrix(matrix: Tensor, held: Tensor, tolerance: float, dtype: torch.dtype) -> dict[str, Tensor]:
    """The payload of B, without what is too small to matter.

    Args:
        matrix: (d, d) B with B H = 0, float64.
        held: (d, h) H, orthonormal, float64.
        tolerance: Greatest share of B, by Frobenius norm, that may be left out to make it thin.
        dtype: Of the payload; in float64 it is always factors, and exact.
    """
    if dtype == torch.float64:
        return right_factors(matrix, torch.eye(len(matrix)).to(matrix), dtype)
    factors = thin(matrix, tolerance, len(matrix) // _SHARE)
    if factors is None:
        return {"matrix": matrix.half(), "held": held.to(dtype)}
    left, basis = factors
    return {"left": left.to(dtype), "basis": basis.to(dtype)}
