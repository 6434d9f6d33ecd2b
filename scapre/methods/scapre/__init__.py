"""ScaPre (arXiv 2601.06162): both variants, from one set of statistics."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...families import TEXT, Projections
from ..change import Change
from ..method import Fit, Method, Problem
from ..payload import Kind, Layout, Tensors
from . import precise, scale
from .settings import PRESETS, Settings
from .statistics import build_probe, build_shared, fit_rows

_VARIANTS = {"precise": precise.solve, "scale": scale.solve}

# m pairs of T tokens, A anchors, rank k of all tokens and r of the concepts, a matrix n x d, L levels of its gate.
_SHARED = {
    "basis": Kind(None, "dk", -1.01, 1.01),
    "eigenvalues": Kind(torch.float64, "k", 0),
    "tokens": Kind(None, "mTk"),
    "anchors": Kind(None, "ATd"),
    "target": Kind(torch.int64, "m", index="A"),
    "directions": Kind(torch.float64, "kr", -1.01, 1.01),
    "sigma": Kind(torch.float64, "r", 0),
}
_RETENTION = {"retention": Kind(torch.float64, "n", -1e-6, 1 + 1e-6)}
_GATE = {
    "codes": Kind(torch.uint8, "nm", index="L"),
    "levels": Kind(torch.float64, "mL", 0, 1),
    "base": Kind(torch.int64, "m", index="L"),
    "peak": Kind(torch.float64, "n", 0, 1),
}


class ScaPre(Method):
    """The method this project is named after: a row-wise gated ridge on the states from the last subject token on.

    Its payload is token statistics in their eigenbasis, and a gate and a retention for each row; the change itself,
    as large as the matrices, is evaluated where it is applied.
    """

    title = "ScaPre"
    about = "As released, with its presets; keeps less."
    roles = TEXT
    settings = Settings
    presets = PRESETS
    joint = True
    seeded = True

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """See `statistics.build_shared` for the shared tensors, and `statistics.fit_rows` for those of a matrix."""
        states, pairs, settings = problem.states, problem.pairs, problem.settings
        probe = build_probe(states, pairs, settings, problem.seed)
        shared = build_shared(states, pairs, settings, problem.dtype, problem.progress)
        return Fit(shared, partial(_rows, probe, settings), "gate and retention")

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Settings) -> Change:
        """W' - W by the variant of the settings."""
        return _VARIANTS[settings.variant](shared, own, weight.to(shared["basis"]), settings)

    def layout(self, settings: Settings, held: Collection[str]) -> Layout:
        """The gate's tensors are there if it is on."""
        return Layout(_SHARED, {**_RETENTION, **(_GATE if settings.informax else {})})

    def describe(self, settings: Settings) -> str:
        """The variant."""
        return f"variant {settings.variant}"


def _rows(probe: Any, settings: Settings, name: str, weight: Tensor) -> Tensors:
    return fit_rows(probe, weight, settings)
