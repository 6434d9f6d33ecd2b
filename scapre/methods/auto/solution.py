"""From moments to B: the ridge with states that must not move, and how far it may go."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...linalg import thin
from .moments import Moments, symmetric

_FAR, _STRANGERS, _NEAR = 2.0, 1.35, 1.0
_WIDE = 2048  # narrower matrices are solved whole in no time
_PART, _ROUNDED = 8, 1e-6  # of the width, and of D: ten times what single precision has rounded away
_MAJORITY = 0.5  # of the concepts
_MOST = 0.5  # of a concept's own way: where kin that were left out move more, going past the anchor is not safe


@dataclass(frozen=True)
class Product:
    """A (d, d) matrix as L Rᵀ.

    Attributes:
        left: (d, k) L; None for the identity.
        right: (d, k) R.
    """

    left: Tensor | None
    right: Tensor

    @classmethod
    def of(cls, matrix: Tensor, least: int = _WIDE) -> Product:
        """A matrix that was kept in single precision, with as few columns as that tells of; all where it saves little.

        Of few names D has a low rank: it is a sum of outer products, one for each token of their prompts.

        Args:
            matrix: (d, d), float64.
            least: d from which on it is tried.
        """
        factors = thin(matrix, _ROUNDED, len(matrix) // _PART) if len(matrix) >= least else None
        return cls(*factors) if factors else cls(None, matrix.T)

    def whole(self) -> Tensor:
        """The matrix itself."""
        return self.right.T if self.left is None else self.left @ self.right.T

    def size(self, moment: Tensor) -> Tensor:
        """tr(B M Bᵀ) of this B, a scalar.

        Args:
            moment: (d, d) M, symmetric.
        """
        moved = moment @ self.right
        if self.left is None:
            return (self.right * moved).sum()
        return ((self.right.T @ moved) * (self.left.T @ self.left)).sum()


def constrained(way: Product, metric: Tensor, held: Tensor) -> Product:
    """The B that minimises tr(B M Bᵀ) - 2 tr(B Dᵀ) among those with B H = 0, (d, d), float64.

    B = (D - D M⁻¹ H (Hᵀ M⁻¹ H)⁻¹ Hᵀ) M⁻¹, by a Lagrange multiplier: with D = L Rᵀ, only R is another in B.

    Args:
        way: (d, d) D.
        metric: (d, d) M, positive definite.
        held: (d, h) H, orthonormal.
    """
    factor = torch.linalg.cholesky(metric)
    found = torch.cholesky_solve(way.right, factor)
    against = torch.cholesky_solve(held, factor)
    found.addmm_(torch.linalg.solve(held.T @ against, against.T).T, held.T @ found, alpha=-1)
    found.addmm_(held, held.T @ found, alpha=-1)  # what rounding has left
    return Product(way.left, found)


def harm(moments: Moments, way: Product, hold: float, keep: float) -> float:
    """How far kin that nobody held would move, against how far the concepts do; 0 if none was left out.

    B is solved without the texts of some kin, and the ratio is that of root mean squares of ‖B x‖ / ‖x‖ over their
    states and the concepts'.
    """
    if not moments.apart.any():
        return 0.0
    factor = torch.linalg.cholesky(moments.metric(hold, keep, without=True))
    found = Product(way.left, torch.cholesky_solve(way.right, factor))
    wholes = (symmetric(moment) for moment in (moments.apart, moments.erased))
    moved, its = (float(found.size(moment) / moment.trace()) for moment in wholes)
    return (moved / its) ** 0.5 if its > 0 else 0.0  # where nothing is erased, nothing moves


def reach_of(moments: Moments, harmed: float) -> float:
    """β: far past the anchor only where kin are held, and what holds them holds those that were left out, too.

    Where names are erased with all of their kind, nothing near is at risk (all names of MiniCanvas erased: of 54
    pictures of development names 50 are gone at 1.5, and all at 2). Where nothing is known of what is near to a name,
    it is: of development names 1.5 left 5 pictures of 180 and lost 7 of 240 of twins, 1.35 left 13 and lost 3.
    """
    if moments.reach:
        return moments.reach
    if harmed >= _MOST:
        return _NEAR
    return _FAR if moments.known >= _MAJORITY else _STRANGERS
