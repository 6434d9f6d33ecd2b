"""The best approximation of a change by two factors of a given rank, or of the least rank that a tolerance asks for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ScaPreError
from ..methods.change import Change

_NOTHING = 1e-8  # square root of float64's precision


@dataclass(frozen=True)
class Rank:
    """How many ranks the factors of a matrix have.

    Attributes:
        rank: The same for all matrices; 0 takes the least that meets the tolerance, matrix by matrix. A file has the
            greatest of them for all.
        tolerance: Most that may be missing of a matrix's change, relative to the change (Frobenius norm).
    """

    rank: int = 0
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ScaPreError: For a value outside its range.
        """
        if self.rank < 0:
            raise ScaPreError(f"rank: {self.rank} is negative. Give 1 or more, or 0 to go by the tolerance.")
        if not 0 <= self.tolerance < 1:
            raise ScaPreError(
                f"tolerance: {self.tolerance} is outside 0 to 1. Give a share of the change, such as 0.05."
            )

    def choose(self, squares: Tensor) -> int:
        """Rank for squared singular values in descending order; at least 1."""
        if self.rank:
            return min(self.rank, len(squares))
        missing = squares.flip(0).cumsum(0).flip(0)  # what is left out by stopping before each
        return max(1, int((missing > self.tolerance**2 * squares.sum()).sum()))


def factorise(change: Change, rank: Rank) -> tuple[Tensor, Tensor]:
    """Factors up (n, r) and down (r, d) of the best rank-r approximation of a change (Eckart and Young), float64.

    The singular vectors of one side come from the eigenvectors of its Gram matrix U, and the other factor is Uᵀ ΔW:
    what is left out is then orthogonal to what is kept, to the last digit, however small the singular values are. The
    side is the smallest there is: k where the change lies in the span of the k token states, else n or d.

    Args:
        change: The change of one projection.
        rank: Which rank.
    """
    if change.rows is None and change.basis is not None:
        up, down = _split(change.coefficients.double(), rank)
        return up, down @ change.basis.double().T
    return _split(change.dense().double(), rank)


def _split(matrix: Tensor, rank: Rank) -> tuple[Tensor, Tensor]:
    """The factors of a matrix, both of the same size: the square root of a singular value in each."""
    wide = matrix.shape[0] <= matrix.shape[1]
    side = matrix if wide else matrix.T
    values, vectors = torch.linalg.eigh(side @ side.T)
    squares = values.flip(0).clamp(min=0)
    kept = vectors.flip(1)[:, : rank.choose(squares)]
    root = squares[: kept.shape[1], None].pow(0.25)
    # A direction without any change must not divide by zero.
    root = root.clamp(min=max(root[0].item() * _NOTHING, torch.finfo(root.dtype).tiny))
    one, other = kept * root.T, (kept.T @ side) / root
    return (one, other) if wide else (other.T, one.T)
