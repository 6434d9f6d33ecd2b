"""SPEED (arXiv 2503.07392, ICLR 2026): an edit in the null space of what stays; some states may not move at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ..errors import ScaPreError
from ..families import VALUES, Projections
from ..states.prompts import NULL
from ..states.readings import once
from ..states.token_states import Reads
from .centres import centres
from .last_tokens import LastTokens, last_tokens
from .method import Fit, Problem
from .retained import retained
from .right import RightMethod, right_factors
from .settings import MethodSettings, Preset, number, switch
from .weight_gram import weight_gram

_CENTRES = 3
_NOTHING = 1e-9  # of the invariants: what preserved names leave of them by rounding alone


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of SPEED. The defaults are those of its release for a few concepts."""

    ridge: float = number(
        1.0, "λ, the weight of the original model; smaller erases harder.", 1e-6, 1e6, offered=100, step=0.01
    )
    null_threshold: float = number(
        0.1, "Directions in which preserved names have less mean square than this may change.", 1e-12, 1e6,
        offered=10, step=1e-4,
    )  # fmt: skip
    invariant_ridge: float = number(
        0.0, "How far the start token and the empty prompt may move; 0: not at all.", 0, 1e6, offered=10, step=0.1
    )
    augment: int = number(10, "Variations added for each preserved name.", 0, 1000, offered=100)
    influence_filter: bool = switch(True, "Hold only the preserved names that the edit would move more than the mean.")


class SPEED(RightMethod):
    """Values answer a concept like its anchor, by an edit that is blind to preserved names and to the empty prompt.

    With t and a the last-token states of concepts and anchors, T = mean t tᵀ, A = mean a tᵀ, P the projector onto the
    directions that preserved names leave free, K the start token's state and centres of the empty prompt's others:

        B = (A - T) (N - N K (Kᵀ N K + λ I)⁻¹ Kᵀ N)    N = P (T P + ρ I)⁻¹

    which is the paper's ΔW = W B with P multiplied out. The names held are those with ‖E r‖ of at least the mean, where
    E = W (A - T) (I + T)⁻¹ is the edit that holds nothing, and variations r + ε v of them, ε ~ N(0, 1), filtered by the
    variations' own mean. Directions are free where the mean r rᵀ of both has an eigenvalue below the threshold.

    The release does this for each matrix apart. Here ‖E r‖ is that of the values of all matrices together, and v the
    direction that all of them together answer least: one B serves them all. The centres start from fixed rows, and ε is
    drawn in the order of the names, so the order of a list does not matter. Without preserved names P = I.
    """

    title = "SPEED"
    about = "Blind to the directions of preserved names and to the empty prompt; needs names to preserve."
    roles = VALUES
    settings = Settings
    presets = MappingProxyType({
        "few": Preset("few", "A few objects or names.", Settings()),
        "many": Preset(
            "many", "Lists of people, replaced by a person.",
            Settings(ridge=0.05, null_threshold=1e-4, influence_filter=False), anchor="person",
        ),
        "nudity": Preset("nudity", "Nudity.", Settings(ridge=0.7, invariant_ridge=0.5), concepts=("nudity",)),
    })  # fmt: skip
    reads = Reads.LAST
    joint = True
    seeded = True
    preserves = True

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """B in factors."""
        settings, last = problem.settings, last_tokens(problem)
        free, taken = _free(problem, projections, last)
        invariants = _invariants(problem.states.of(NULL).double())
        still = free.T @ invariants
        if not settings.invariant_ridge:
            still = _span(still, invariants.norm())
            _check(free.shape[1] - still.shape[1], once(problem.preserve))
            taken = torch.cat([taken, free @ still], 1)
        right = free @ _blind(free.T @ last.concepts, still, settings)
        left = (last.anchors - last.concepts) / last.concepts.shape[1]
        return Fit(right_factors(left, right, problem.dtype, taken))


def _invariants(null: Tensor) -> Tensor:
    """K: the start token's state and the centres of the empty prompt's other states (tokens, d), (d, at most 4)."""
    return torch.cat([null[:1], centres(null[1:], _CENTRES)]).T


def _span(vectors: Tensor, scale: Tensor) -> Tensor:
    """Orthonormal basis of what the columns span: what may not move at all depends on that alone."""
    basis: Tensor
    basis, values, _ = torch.linalg.svd(vectors, full_matrices=False)
    return basis[:, values > _NOTHING * scale]


def _blind(concepts: Tensor, still: Tensor, settings: Settings) -> Tensor:
    """(M⁻¹ - M⁻¹ K (Kᵀ M⁻¹ K + λ I)⁻¹ Kᵀ M⁻¹) t with M = T + ρ I for each concept, (k, m).

    With P = U Uᵀ, N = U (Uᵀ T U + ρ I)⁻¹ Uᵀ; so all of this is in the basis U of the directions that may change.

    Args:
        concepts: (k, m) Uᵀ t.
        still: (k, r) Uᵀ K, or an orthonormal basis of it where λ = 0.
        settings: ρ and λ.
    """
    metric = concepts @ concepts.T / concepts.shape[1] + settings.ridge * torch.eye(len(concepts)).to(concepts)
    factor = torch.linalg.cholesky(metric)
    right, against = torch.cholesky_solve(concepts, factor), torch.cholesky_solve(still, factor)
    inner = still.T @ against + settings.invariant_ridge * torch.eye(still.shape[1]).to(still)
    stopped: Tensor = torch.linalg.solve(inner, still.T @ right)
    return right - against @ stopped


def _free(problem: Problem, projections: Projections, last: LastTokens) -> tuple[Tensor, Tensor]:
    """Orthonormal bases of the directions that may change, (d, k), and of the others, (d, d - k)."""
    if not problem.preserve:
        whole = torch.eye(problem.states.width).to(last.concepts)
        return whole, whole[:, :0]
    values, vectors = torch.linalg.eigh(retained(problem, last, weight_gram(problem, projections, SPEED.roles)))
    free = values < problem.settings.null_threshold
    _check(int(free.sum()), once(problem.preserve))
    return vectors[:, free], vectors[:, ~free]


def _check(left: int, preserve: Sequence[str]) -> None:
    """Refuses to go on with no direction left that may change.

    Raises:
        ScaPreError: Then.
    """
    if left <= 0:
        raise ScaPreError(
            f"preserve: these {len(preserve):,} names and the empty prompt together reach every direction of the text "
            "states, so nothing is left to erase with. Preserve fewer names, or raise null_threshold."
        )
