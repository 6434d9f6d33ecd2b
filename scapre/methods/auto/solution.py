"""From moments to B: the ridge with states that must not move, and how far it may go."""

from __future__ import annotations

import torch
from torch import Tensor

from .moments import Moments

_FAR, _STRANGERS, _NEAR = 2.0, 1.5, 1.0
_MAJORITY = 0.5  # of the concepts
_MOST = 0.5  # of a concept's own way: where kin that were left out move more, going past the anchor is not safe


def constrained(way: Tensor, metric: Tensor, held: Tensor) -> Tensor:
    """The B that minimises tr(B M Bᵀ) - 2 tr(B Dᵀ) among those with B H = 0, (d, d), float64.

    B = (D - D M⁻¹ H (Hᵀ M⁻¹ H)⁻¹ Hᵀ) M⁻¹, by a Lagrange multiplier.

    Args:
        way: (d, d) D.
        metric: (d, d) M, positive definite.
        held: (d, h) H, orthonormal.
    """
    factor = torch.linalg.cholesky(metric)
    found = torch.cholesky_solve(way.T, factor).T
    against = torch.cholesky_solve(held, factor)
    found.addmm_(found @ held, torch.linalg.solve(held.T @ against, against.T), alpha=-1)
    found.addmm_(found @ held, held.T, alpha=-1)  # what rounding has left
    return found


def harm(moments: Moments, hold: float, keep: float) -> float:
    """How far kin that nobody held would move, against how far the concepts do; 0 if none was left out.

    B is solved without the texts of some kin, and the ratio is that of root mean squares of ‖B x‖ / ‖x‖ over their
    states and the concepts'.
    """
    if not moments.apart.any():
        return 0.0
    metric = moments.metric(hold, keep, without=True)
    matrix = torch.cholesky_solve(moments.way.T, torch.linalg.cholesky(metric)).T.float()

    def moved(moment: Tensor) -> Tensor:
        share: Tensor = torch.linalg.vecdot(matrix @ moment.float(), matrix).sum() / moment.trace()
        return share

    return float((moved(moments.apart) / moved(moments.erased)).sqrt())


def reach_of(moments: Moments, harmed: float) -> float:
    """β: far past the anchor only where kin are held, and what holds them holds those that were left out, too.

    Where general words stand in for kin, what is near to a name and in no list is at risk: twins of it were lost at 2
    and none at 1.5, while at 1 names survived (MiniCanvas, development names).
    """
    if moments.reach:
        return moments.reach
    if harmed >= _MOST:
        return _NEAR
    return _FAR if moments.found >= _MAJORITY else _STRANGERS
