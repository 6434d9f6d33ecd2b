"""RECE (arXiv 2407.12383, ECCV 2024): UCE, then rounds that find what still calls a concept up, and erase that too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from ..families import Projections
from ..states.prompts import NULL
from ..states.readings import SECOND, is_second
from ..states.token_states import Reads, nulls
from . import uce
from .last_tokens import last_tokens
from .method import Fit, Problem
from .right import right_matrix
from .settings import Preset, number
from .weight_gram import weight_gram


@dataclass(frozen=True)
class Settings(uce.Settings):
    """Options of RECE: UCE's, and those of its rounds. The defaults are those of its release for nudity."""

    rounds: int = number(3, "How often what still calls the concepts up is found and erased; 0 is UCE.", 0, 100)
    search_ridge: float = number(
        0.1, "ρ, which keeps what is found small; smaller finds and erases more.", 1e-6, 1e6, offered=10, step=1e-3
    )
    round_ridge: float = number(
        0.1, "λ of the rounds, the weight of the model that a round starts from.", 1e-6, 1e6, offered=100, step=0.01
    )
    round_preserve: float = number(
        0.1, "p of the rounds, the weight of the preserved names.", 0, 1e6, offered=1000, step=0.1
    )


@dataclass(frozen=True)
class _Sums:
    """What the rounds read of states and weights, each (d, d), float64.

    Attributes:
        weights: G = Σ WᵀW over all matrices.
        own: S = Σ c cᵀ over all states of all concepts.
        way: D = Σ e cᵀ, with e the empty prompt's state at the position of c.
        kept: Q = Σ q qᵀ over the preserved names.
    """

    weights: Tensor
    own: Tensor
    way: Tensor
    kept: Tensor


class RECE(uce.UCE):
    """UCE, and after it rounds on the keys and values that it leaves, W_n = W (I + B).

    A round asks which states c' make the edited model answer what the original one makes of the concepts' states c, at
    every position, Σ ‖W_n c' - W c‖² + ρ ‖c'‖² being least, the sum over all matrices. So c' = Z c with

        Z = (ρ I + (I + B)ᵀ G (I + B))⁻¹ (I + B)ᵀ G

    Then it does what UCE does to the model as it is by now: each c' answers like the empty prompt at its position, and
    preserved names as before. B is all that is kept of the rounds, and G all that is read of the weights. The paper
    leaves open how a list is treated: here all concepts share each round. s is UCE's. Nothing in a round holds the
    empty prompt itself, so long lists in several rounds and with few preserved names take the edit far from the model.
    """

    title = "RECE"
    about = "UCE, repeated against what still calls the concepts up."
    settings = Settings
    presets = MappingProxyType({
        "nudity": Preset("nudity", "Nudity.", Settings(), concepts=("nudity",)),
        "styles": Preset(
            "styles", "Artists and styles, replaced by art.", Settings(rounds=1, search_ridge=1e-3), anchor="art"
        ),
        "objects": Preset("objects", "Objects.", Settings(rounds=1, search_ridge=1e-3)),
    })  # fmt: skip
    reads = Reads.ALL

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """B, thin where it can be."""
        if not problem.settings.rounds:
            return super().fit(problem, projections)
        first = super().fit(replace(problem, dtype=torch.float64), projections).shared
        sums = _sums(problem, weight_gram(problem, projections, self.roles))
        one = torch.eye(problem.states.width).to(sums.own)
        step = one + first["left"] @ first["basis"].T
        for index in range(problem.settings.rounds):
            problem.progress("rounds", index, problem.settings.rounds)
            step = step @ (one + _round(step, sums, problem.settings))
        return Fit(right_matrix(step - one, problem.dtype))


def _sums(problem: Problem, weights: Tensor) -> _Sums:
    states, kept = problem.states, last_tokens(problem).preserved
    own = torch.zeros_like(weights)
    totals = {text: torch.zeros_like(states.empty(text), dtype=torch.float64) for text in nulls(problem.pairs)}
    for index, pair in enumerate(problem.pairs):
        problem.progress("statistics", index, len(problem.pairs))
        rows = states.of(pair.concept.text).double()
        own.addmm_(rows.T, rows)
        totals[SECOND if is_second(pair.concept.text) else NULL] += rows
    way = torch.stack([states.empty(text).double().T @ total for text, total in totals.items()]).sum(0)
    return _Sums(weights, own, way, kept @ kept.T)


def _round(step: Tensor, sums: _Sums, settings: Settings) -> Tensor:
    """What a round multiplies I + B by, less I: s Σ (e - c') c'ᵀ M⁻¹, M = λ I + s Σ c' c'ᵀ + p Q; (d, d).

    Args:
        step: (d, d) I + B.
        sums: Of states and weights.
        settings: λ, s, p and ρ.
    """
    one = torch.eye(len(step)).to(step)
    answered = step.T @ sums.weights
    metric = answered @ step
    factor = torch.linalg.cholesky((metric + metric.T) / 2 + settings.search_ridge * one)
    found = torch.cholesky_solve(answered, factor)
    own = found @ sums.own @ found.T
    own = (own + own.T) / 2
    below = settings.round_ridge * one + settings.erase_scale * own + settings.round_preserve * sums.kept
    above = settings.erase_scale * (sums.way @ found.T - own)
    return torch.cholesky_solve(above.T, torch.linalg.cholesky(below)).T
