"""DP, Double Projections (arXiv 2604.10032, CVPR 2026): concepts projected on what is safe, out of what stays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..families import TEXT, Projections
from ..linalg import range_basis
from ..states.readings import once, plain
from ..states.token_states import Reads
from .last_tokens import last_tokens
from .method import Fit, Problem
from .right import RightMethod, right_factors
from .settings import MethodSettings, Preset, number

_NOTHING = 1e-6  # of a state: about what single precision leaves of one that is not there


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of DP."""

    held_share: float = number(
        0.999, "Share of the preserved names' mean square whose directions are held exactly; 1 holds all of it.",
        0.5, 1, step=0.001,
    )  # fmt: skip


class DP(RightMethod):
    """Keys and values answer a concept c like c*, what is safe in it, by an edit blind to preserved names.

    H are the leading directions of the preserved names' last-token states, as many as hold the share of their mean
    square, and U₂ is what is orthogonal to them. c* = S S⁺ c is the projection on the safe span S, x = U₂ᵀ c, and

        ΔW = W (C* - C) X⁺ U₂ᵀ

    with a column for each concept. For one concept that is the paper's W (c* - c) xᵀ U₂ᵀ / ‖x‖². For several this is
    the smallest B that answers every c like its c*, all of them together and from the original weights.

    What is safe for a concept is H and its own anchor's state, so that a list may erase what is another's anchor. As H
    is in S, c* - c is in U₂ like x, and however little of c is there, the edit is no more than about a projector. The
    pseudo-inverse leaves directions out in which concepts differ by rounding alone. A concept of which nothing at all
    lies in U₂ cannot be erased without moving the names, and is refused. Nothing but the preserved names is held:
    without them the edit moves all that resembles the concepts.
    """

    title = "DP"
    about = "Double projections; holds preserved names exactly and needs them."
    roles = TEXT
    settings = Settings
    presets = MappingProxyType({
        "objects": Preset("objects", "Objects.", Settings()),
        "styles": Preset("styles", "Artists and styles, replaced by art.", Settings(), anchor="art"),
    })  # fmt: skip
    reads = Reads.LAST
    joint = True
    preserves = True

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """B in factors; it depends on the token states alone."""
        last = last_tokens(problem)
        held = _leading(problem, last.preserved)
        own = _without(held, last.concepts)
        _check(problem, own, last.concepts)
        anchors = _units(_without(held, last.anchors), last.anchors)
        way = anchors * (anchors * own).sum(0) - own
        return Fit(right_factors(way, _dual(problem, own), problem.dtype, held))


def _leading(problem: Problem, preserved: Tensor) -> Tensor:
    """H, the fewest directions that hold the share of the preserved states' mean square, (d, h), orthonormal."""
    if not preserved.shape[1]:
        return preserved
    values, vectors = range_basis(preserved @ preserved.T, partial(problem.progress, "statistics", 0, 2))
    before = values.flip(0).cumsum(0) - values.flip(0)  # what the directions before each of them hold
    count = int((before < problem.settings.held_share * values.sum()).sum())
    return vectors.flip(1)[:, :count].contiguous()


def _without(held: Tensor, states: Tensor) -> Tensor:
    """What of some states (d, m) is orthogonal to H; twice, so that rounding leaves nothing of H."""
    for _ in range(2):
        states = states - held @ (held.T @ states)
    return states


def _units(parts: Tensor, states: Tensor) -> Tensor:
    """Parts of states at length 1, (d, m); 0 where nothing but rounding is left of a state."""
    length = parts.norm(dim=0)
    return torch.where(length > _NOTHING * states.norm(dim=0), parts / length, torch.zeros_like(parts))


def _dual(problem: Problem, own: Tensor) -> Tensor:
    """(X⁺ U₂ᵀ)ᵀ, (d, m): each column answers 1 to its own concept and 0 to the others, where they are independent.

    Args:
        problem: Tells the progress.
        own: (d, m) U₂ x.
    """
    values, vectors = range_basis(own @ own.T, partial(problem.progress, "statistics", 1, 2))
    return vectors @ ((vectors.T @ own) / values[:, None])


def _check(problem: Problem, own: Tensor, concepts: Tensor) -> None:
    """Refuses concepts of which nothing is left beside the preserved names.

    Raises:
        ScaPreError: For the first of them.
    """
    lost = (own.norm(dim=0) <= _NOTHING * concepts.norm(dim=0)).nonzero()
    if len(lost):
        name = plain(problem.pairs[int(lost[0])].concept.text)
        raise ScaPreError(
            f"preserve: all of {shorten(name)} lies in the directions of the {len(once(problem.preserve)):,} preserved "
            "names, so it cannot be erased without moving them. Preserve fewer names, or lower held_share."
        )
