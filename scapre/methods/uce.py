"""UCE, Unified Concept Editing (arXiv 2308.14761): a ridge on the states of last tokens, with names that stay."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch

from ..families import TEXT, Projections
from ..states.token_states import Reads
from .last_tokens import last_tokens
from .method import Fit, Problem
from .right import RightMethod, right_factors
from .settings import MethodSettings, Preset, number


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of UCE. The defaults are those of its release."""

    ridge: float = number(
        0.5, "λ, the weight of the original model; smaller erases harder.", 1e-6, 1e6, offered=100, step=0.01
    )
    erase_scale: float = number(
        1.0, "s, the weight of the concepts against the original model.", 0, 1e4, offered=100, step=0.1
    )
    preserve_scale: float = number(
        1.0, "p, the weight of the preserved names against the original model.", 0, 1e6, offered=1000, step=0.1
    )


class UCE(RightMethod):
    """Keys and values answer a concept like its anchor, preserved names as before.

    W' minimises s Σ_i ‖W' c_i - W g_i‖² + p Σ_j ‖W' q_j - W q_j‖² + λ ‖W' - W‖², with c, g and q the states of the last
    tokens of concepts, anchors and preserved names. So W' = W (I + B), B = s Σ_i (g_i - c_i) c_iᵀ M⁻¹,
    M = λ I + s Σ_i c_i c_iᵀ + p Σ_j q_j q_jᵀ.
    """

    title = "UCE"
    about = "Unified Concept Editing: one state a name; small and plain."
    roles = TEXT
    settings = Settings
    presets = MappingProxyType({
        "objects": Preset("objects", "Objects, replaced by the empty prompt.", Settings()),
        "styles": Preset("styles", "Artists and styles, replaced by art.", Settings(), anchor="art"),
    })  # fmt: skip
    joint = True
    reads = Reads.LAST
    preserves = True

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """B in factors; it depends on the token states alone."""
        settings, last = problem.settings, last_tokens(problem)
        metric = settings.ridge * torch.eye(len(last.concepts)).to(last.concepts)
        metric += settings.erase_scale * last.concepts @ last.concepts.T
        metric += settings.preserve_scale * last.preserved @ last.preserved.T
        right = torch.cholesky_solve(last.concepts, torch.linalg.cholesky(metric))
        return Fit(right_factors(settings.erase_scale * (last.anchors - last.concepts), right, problem.dtype))
