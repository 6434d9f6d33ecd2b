"""ScaPre's variant for few or confusable concepts: W = A B⁻¹ and a per-row blend with the original."""

from __future__ import annotations

from torch import Tensor

from ..change import Change
from ..payload import Tensors
from .settings import Settings
from .statistics import rotate, singular_gate
from .targets import gated_targets


def solve(shared: Tensors, rows: Tensors, weight: Tensor, settings: Settings) -> Change:
    """W' - W with W' = α A B⁻¹ + (1 - α) W (arXiv 2601.06162, released variant for few concepts).

    A = λ W + s Σ_i diag(r_i) W N_i [- s V_res C_resᵀ], B = λ I + P + S, α = α_min + (1 - α_min) e.

    Args:
        shared: From `build_shared`.
        rows: From `fit_rows`.
        weight: (n, d) in the dtype of the basis.
        settings: The edit's settings.
    """
    rotated = rotate(weight, shared)
    solved = gated_targets(weight, rotated, shared, rows, settings.technique).mul_(settings.erase_scale)
    solved.add_(rotated, alpha=settings.ridge)
    if settings.residual:
        weak = _residual(shared, settings).to(weight.dtype)
        solved.sub_((rotated @ weak) @ weak.T, alpha=settings.erase_scale)
    solved.div_((settings.ridge + shared["eigenvalues"]).to(weight.dtype)).sub_(rotated)
    blend = settings.alpha_min + (1 - settings.alpha_min) * rows["retention"]
    solved.mul_(blend[:, None].to(weight.dtype))
    return Change(solved, shared["basis"], weight)


def _residual(shared: Tensors, settings: Settings) -> Tensor:
    """R with R Rᵀ = C_res C_resᵀ, C_res = (I - U diag(g) Uᵀ) C: the weak directions of the concepts, (k, r)."""
    return shared["directions"] * ((1 - singular_gate(shared, settings)) * shared["sigma"])
