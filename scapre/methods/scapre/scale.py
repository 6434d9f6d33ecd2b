"""ScaPre's variant for many concepts: a row-wise gated ridge, a Bures proximal step and an optional row valve."""

from __future__ import annotations

import torch
from torch import Tensor

from ...linalg import product
from ..change import Change
from ..payload import Tensors
from .rows import Mix, Plane, bures_step, row_valve
from .settings import Settings
from .statistics import rotate, singular_gate, subject_projector
from .targets import gated_targets


def solve(shared: Tensors, rows: Tensors, weight: Tensor, settings: Settings) -> Change:
    """W' - W with row j of W' solving M_j w = b_j (arXiv 2601.06162, released variant for many concepts).

    h = 1 - e, μ = mean h, G = (λ + μ) I + R + P + S, M_j = G + s max_i r_ij Π,
    b_j = (λ + μ) W_j + s Σ_i r_ij (W N_i)_j; then the Bures proximal step and the row safety valve.

    Args:
        shared: From `build_shared`.
        rows: From `fit_rows`.
        weight: (n, d) in the dtype of the basis.
        settings: The edit's settings.
    """
    entropy = (1 - rows["retention"]).clamp(0, 1)
    retained = float(entropy.mean())
    ridge = settings.ridge + retained
    rotated = rotate(weight, shared)
    solved = gated_targets(weight, rotated, shared, rows, settings.technique).mul_(settings.erase_scale)
    solved.add_(rotated, alpha=ridge)
    _solve(solved, shared, rows, settings, ridge, retained)
    plane = _plane(weight, rotated, solved)
    mix = _row_steps(plane, entropy, ridge, retained, settings)
    factor = (mix.new + mix.old - 1)[:, None].to(weight.dtype)
    change = solved.sub_(rotated).mul_(mix.new[:, None].to(weight.dtype))
    inside = torch.addcmul(change, factor, rotated).norm().double() ** 2
    norm = (inside + (plane.outside * factor[:, 0] ** 2).sum()).sqrt().item()
    return Change(change, shared["basis"], weight, factor, norm)


def _solve(right: Tensor, shared: Tensors, rows: Tensors, settings: Settings, ridge: float, retained: float) -> None:
    """Replaces the right-hand sides (n, k) by the solutions, in place.

    In the basis G is diagonal but for R = μ U diag(1 - g) Uᵀ, and M_j adds α_j Π: two updates of rank r.
    With Gπ = G⁻¹ U and K = Uᵀ G⁻¹ U = V diag(κ) Vᵀ, the rows differ only in the factor α_j / (1 + α_j κ).
    """
    inverse = 1 / (ridge + shared["eigenvalues"])
    right.mul_(inverse.to(right.dtype))
    subject = subject_projector(shared)
    solved_subject = inverse[:, None] * subject
    if settings.spectral:
        held = (retained * (1 - singular_gate(shared, settings))).sqrt() * shared["directions"]
        weighted = inverse[:, None] * held
        core = torch.cholesky_inverse(torch.linalg.cholesky(torch.eye(held.shape[1]).to(held) + held.T @ weighted))
        solved_subject -= weighted @ (core @ (held.T @ solved_subject))
        _subtract(right, held, weighted @ core, None)
    kappa, vectors = torch.linalg.eigh(subject.T @ solved_subject)
    alpha = settings.erase_scale * (rows["peak"][:, None] if "peak" in rows else inverse.new_ones(1, 1))
    _subtract(right, subject @ vectors, solved_subject @ vectors, alpha / (1 + alpha * kappa))


def _subtract(right: Tensor, left: Tensor, back: Tensor, factor: Tensor | None) -> None:
    """right -= [(right left) ∘ factor] backᵀ."""
    share = product(right, left.to(right.dtype))
    if factor is not None:
        share *= factor.to(right.dtype)
    right.sub_(product(share, back.to(right.dtype).T))


def _row_steps(plane: Plane, entropy: Tensor, ridge: float, retained: float, settings: Settings) -> Mix:
    mix = bures_step(plane, ridge, retained, settings.bures_steps)
    if settings.row_valve:
        mix = row_valve(mix.within(plane), entropy).after(mix)
    return mix


def _plane(weight: Tensor, rotated: Tensor, solved: Tensor) -> Plane:
    """Inner products of old and new rows; outside the basis the two are equal."""
    old = torch.linalg.vecdot(weight, weight)
    outside = torch.zeros_like(old)
    if rotated.shape[1] < weight.shape[1]:
        outside = (old - torch.linalg.vecdot(rotated, rotated)).clamp(min=0)
    new, cross = torch.linalg.vecdot(solved, solved) + outside, torch.linalg.vecdot(rotated, solved) + outside
    return Plane(old.double(), new.double(), cross.double(), outside.double())
