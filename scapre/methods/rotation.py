"""The rotation of a matrix's values that keeps what stays and turns around what goes (OCE)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..linalg import range_basis

_NOTHING = 1e-6  # of the greatest singular value: about what single precision leaves of a direction that is not there


@dataclass(frozen=True)
class Forces:
    """What the rotations of all matrices are made of, float64.

    Attributes:
        concepts: (d, m) last-token states of the concepts.
        anchors: (d, a) of their anchors.
        scale: s, the weight of turning the concepts.
        stays: (d, d) the weighted second moment of what stays, positive definite.
    """

    concepts: Tensor
    anchors: Tensor
    scale: float
    stays: Tensor


def rotation(weight: Tensor, forces: Forces, poll: Callable[[], None]) -> Tensor:
    """R (n, n) of determinant 1 that maximises tr(Rᵀ X), X = W M Wᵀ - s Γ (I - Γ*).

    Args:
        weight: (n, d) W, float64.
        forces: M, s, and the states whose values span Γ and Γ*.
        poll: Called while it computes; may raise.
    """
    rows, width = weight.shape
    if rows <= width:
        return _turn(weight, forces, poll, proper=True)
    basis: Tensor = torch.linalg.qr(
        weight
    ).Q  # of all values there are; X is 0 elsewhere, and so no rotation is better there
    turn = _turn(basis.T @ weight, forces, poll, proper=False)
    one = torch.eye(rows).to(weight)
    found = one + basis @ (turn - torch.eye(width).to(turn)) @ basis.T
    if torch.linalg.slogdet(turn)[0] > 0:
        return found
    place = basis.square().sum(1).argmin()  # the unit vector that is farthest from the values
    away = one[place] - basis @ basis[place]
    return found - 2 * torch.outer(away, away) / away.square().sum()


def _turn(weight: Tensor, forces: Forces, poll: Callable[[], None], proper: bool) -> Tensor:
    """The orthogonal matrix (n, n) that maximises tr(Rᵀ X); where it must be proper, of determinant 1."""
    goes = _span(weight @ forces.concepts, poll)
    comes = _span(weight @ forces.anchors, poll)
    turned = goes @ (goes.T - (goes.T @ comes) @ comes.T)
    left: Tensor
    right: Tensor
    left, _, right = torch.linalg.svd(weight @ forces.stays @ weight.T - forces.scale * turned)
    if proper and torch.linalg.slogdet(left)[0] * torch.linalg.slogdet(right)[0] < 0:
        left[:, -1] *= -1
    return left @ right


def _span(values: Tensor, poll: Callable[[], None]) -> Tensor:
    """Orthonormal basis (n, k) of what some columns span, from the smaller of two factorisations."""
    if values.shape[1] > values.shape[0]:
        return range_basis(values @ values.T, poll)[1]
    basis: Tensor
    basis, sizes, _ = torch.linalg.svd(values, full_matrices=False)
    return basis[:, sizes > _NOTHING * sizes[0]]
