"""`auto`: values alone, learned from whole prompts, held by the kin of what is erased; one matrix for all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ...concepts.concepts import Concept
from ...families import Projections, Role
from ...progress import Progress
from ...states.token_states import Encoder
from ..change import Change
from ..method import Fit, Method, Problem
from ..payload import Kind, Layout, Tensors
from ..settings import MethodSettings, Preset, number
from .study import study


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of `auto`."""

    hold: float = number(
        10.0,
        "λ, the weight of the original model, in units of the states' mean square.",
        1e-3,
        1e6,
        offered=1000,
        step=1,
    )
    keep: float = number(
        100.0,
        "p, the weight of what stays: the kin of the names, and the names to preserve.",
        0,
        1e6,
        offered=10000,
        step=10,
    )
    reach: float = number(
        2.0, "β, how far the edit goes: 1 to the anchor, 2 as far beyond it again.", 0, 10, offered=4, step=0.1
    )


class Auto(Method):
    """W' = W (I + B) with B = β D (λ ν I + S + p G)⁻¹, on the values alone; see `moments` for S, D and G.

    ν is the mean square of a number in the states. What takes a name's place is the mean of a few of its kin in the
    same prompt, unless an anchor is typed. So D holds only what is the name's own.
    """

    title = "auto"
    roles = frozenset({Role.VALUE})
    settings = Settings
    presets = MappingProxyType({"auto": Preset("auto", "Erases and keeps; for any list.", Settings())})
    preserves = True

    def study(
        self, encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], progress: Progress
    ) -> Tensors:
        """S, D, G and ν."""
        return study(encoder, concepts, preserve, progress)

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """B."""
        moments, settings = problem.states.moments, problem.settings
        erased, way, kept = (moments[key].to(problem.states.states.device) for key in ("erased", "way", "kept"))
        unit = float(moments["square"]) * torch.eye(len(erased)).to(erased)
        metric = settings.hold * unit + erased + settings.keep * kept
        factor = torch.linalg.cholesky((metric + metric.T) / 2)
        return Fit({"matrix": settings.reach * torch.cholesky_solve(way.T, factor).T.contiguous().to(problem.dtype)})

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """W B."""
        weight = weight.to(shared["matrix"])
        return Change(weight @ shared["matrix"], None, weight)

    def layout(self, settings: Any) -> Layout:
        """B."""
        return Layout({"matrix": Kind(None, "dd")})
