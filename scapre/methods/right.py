"""Edits that multiply every weight on its right by one matrix: W' = W (I + B), as most closed forms are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScaPreError
from ..linalg import product, reflectors, rotated, shortened, thin
from .change import Change
from .method import Method
from .payload import Kind, Layout, Payload, Tensors

_THIN = {"left": Kind(None, "dk"), "basis": Kind(None, "dk", -1.01, 1.01)}
_DENSE = {"matrix": Kind(torch.float16, "db")}
_HELD = {"held": Kind(None, "dh", -1.01, 1.01)}
_EXACT = 1e-6  # of B: as much as single precision may leave out
_SHARE = 4  # of the width: two factors in single precision are then as large as the matrix in half


class RightMethod(Method):
    """A method whose edit is one B for all its matrices: so it is as large for many layers as for one.

    Up to a quarter of the width, B = L Qᵀ with orthonormal Q (d, k), and a weight's change is one product with each.
    Beyond that B is kept in half precision. Rounding would move what must not move at all: so where B H = 0, B is
    [0, C] Qᵀ with a rotation Q whose first columns span H (d, h), and C (d, d - h) is what is rounded.
    """

    format = 2  # of the first, B was kept whole beside what it holds, and rounded

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """W B.

        Raises:
            ScaPreError: If C and the reflections do not fit each other.
        """
        if "matrix" not in shared:
            weight = weight.to(shared["basis"])
            return Change(product(weight, shared["left"]), shared["basis"], weight)
        weight = weight.to(shared["matrix"].device, torch.float32)
        moved = product(weight, shared["matrix"].float())
        if "held" in shared:
            vectors = shared["held"]
            if moved.shape[1] + vectors.shape[1] != weight.shape[1]:
                raise ScaPreError("edit: what it moves and what it holds do not fit. It is damaged; make it again.")
            moved = rotated(F.pad(moved, (vectors.shape[1], 0)), vectors, back=True)
        return Change(moved, None, weight)

    def shift(self, shared: Tensors, settings: Any) -> Callable[[Tensor], Tensor]:
        """B x."""
        if "matrix" not in shared:
            basis, left = shared["basis"].float(), shared["left"].float()
            return lambda states: (states @ basis) @ left.T
        matrix = shared["matrix"].float()
        if "held" not in shared:
            return lambda states: states @ matrix.T
        vectors = shared["held"].float()
        held = vectors.shape[1]
        return lambda states: (
            rotated(states.reshape(-1, len(vectors)), vectors)[:, held:].matmul(matrix.T).view_as(states)
        )

    def layout(self, settings: Any, held: Collection[str]) -> Layout:
        """L and Q, or B, or C and the reflections that Q is made of."""
        if "matrix" not in held:
            return Layout(_THIN)
        return Layout(_DENSE | (_HELD if "held" in held else {}))

    def figures(self, payload: Payload, settings: Any) -> dict[str, float]:
        """The rank of B, or its width where B is kept whole."""
        return {
            "rank": payload.shared["basis"].shape[1] if "basis" in payload.shared else len(payload.shared["matrix"])
        }


def right_factors(
    left: Tensor, right: Tensor, dtype: torch.dtype, held: Tensor | None = None, tolerance: float = 0.0
) -> dict[str, Tensor]:
    """The payload of B = left rightᵀ.

    Args:
        left: (d, m), float64.
        right: (d, m), float64.
        dtype: Of the payload; in float64 it is always factors.
        held: (d, h) H with B H = 0, orthonormal, float64, for methods that promise it; h may be 0.
        tolerance: Greatest share of B, by Frobenius norm, that may be left out to make it thinner.
    """
    if dtype == torch.float32 and min(right.shape) > len(right) // _SHARE:
        return right_matrix(left @ right.T, dtype, held, tolerance or _EXACT)
    basis, triangle = torch.linalg.qr(right)
    found = left @ triangle.T, basis
    if tolerance:
        found = shortened(*found, tolerance, len(right)) or found
    return {"left": found[0].to(dtype), "basis": found[1].to(dtype)}


def right_matrix(
    matrix: Tensor, dtype: torch.dtype, held: Tensor | None = None, tolerance: float = _EXACT
) -> dict[str, Tensor]:
    """The payload of B, without what is too small to matter.

    Args:
        matrix: (d, d) B, float64.
        dtype: Of the payload; in float64 it is always factors, and exact.
        held: See `right_factors`.
        tolerance: Greatest share of B, by Frobenius norm, that may be left out to make it thin.
    """
    factors = thin(matrix, tolerance, len(matrix) // _SHARE) if dtype == torch.float32 else None
    if factors is not None:
        return {"left": factors[0].to(dtype), "basis": factors[1].to(dtype)}
    vectors = reflectors(held).to(dtype) if held is not None and held.shape[1] else None
    whole = (matrix if vectors is None else rotated(matrix, vectors.to(matrix))[:, vectors.shape[1] :]).half()
    if dtype == torch.float64 or not whole.isfinite().all():
        basis = torch.eye(len(matrix)).to(matrix)
        return {"left": matrix.to(dtype), "basis": basis.to(dtype)}
    return {"matrix": whole} if vectors is None else {"matrix": whole, "held": vectors}
