"""OCE, Orthogonal Concept Erasure (arXiv 2605.28902, ICML 2026): values are turned, and keep lengths and angles."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ..concepts.concepts import Concept
from ..families import VALUES, Projections
from ..progress import Progress
from ..states.encoder import Encoder
from ..states.prefixes import encode_prefixes
from ..states.prompts import Prompt
from ..states.readings import readings, twice
from ..states.token_states import Reads
from .change import Change
from .last_tokens import columns
from .method import Fit, Method, Problem, Studied
from .payload import Kind, Layout, Tensors
from .rotation import Forces, rotation
from .settings import MethodSettings, Preset, number

CAPTIONS: Sequence[str] = json.loads(Path(__file__).with_name("captions.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of OCE. The defaults are those of its release."""

    ridge: float = number(
        1.5, "λ, the weight of the original model; smaller erases harder.", 1e-6, 1e6, offered=100, step=0.01
    )
    erase_scale: float = number(
        1.0, "s, the weight of the concepts against the original model.", 0, 1e4, offered=100, step=0.1
    )
    preserve_scale: float = number(
        0.5, "p, the weight of the preserved names against the original model.", 0, 1e6, offered=1000, step=0.1
    )
    general_scale: float = number(
        0.3, "The weight of everyday captions against the original model.", 0, 1e6, offered=1000, step=0.1
    )


class OCE(Method):
    """Every value matrix is turned, W' = R W: what values of concepts have beside their anchors' is turned around.

    Γ and Γ* are the projectors onto the values of all concepts' and all anchors' last tokens, and

        X = W (p Σ q qᵀ + p_g C_g + λ I) Wᵀ - s Γ (I - Γ*)

    with preserved names' states q, and C_g the second moment of the states of everyday captions from the start to the
    end token, all states alike. R = U Vᵀ of X = U Σ Vᵀ is the rotation that keeps most of what is weighted and least
    of the rest; where that would have determinant -1, the direction of least weight is reversed.

    With more rows than columns W answers in a subspace only. Then R is solved there and is the identity elsewhere,
    but for a reflection that no value feels, if the determinant needs one. Directions of Γ and Γ* that differ by
    rounding alone do not count. Each matrix has an R of its own, so an edit is as large as the matrices.
    """

    title = "OCE"
    about = "Turns values and keeps their lengths; large files."
    roles = VALUES
    settings = Settings
    presets = MappingProxyType({
        "objects": Preset("objects", "Objects.", Settings()),
        "styles": Preset("styles", "Artists and styles, replaced by art.", Settings(), anchor="art"),
        "people": Preset("people", "People, replaced by a person.", Settings(), anchor="person"),
    })  # fmt: skip
    reads = Reads.LAST
    format = 2  # the first kept no C_g, so that its edits could not be merged
    joint = True
    preserves = True
    moments = MappingProxyType({"general": Kind(torch.float32, "dd")})

    def study(
        self, encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], settings: Any, progress: Progress,
        known: Studied | None = None,
    ) -> Studied:  # fmt: skip
        """C_g."""
        captions = twice(CAPTIONS) if len(readings(encoder)) > 1 else CAPTIONS
        lengths = {text: len(encoder.tokens(text)) + 2 for text in captions}
        states = encode_prefixes(encoder, lengths, lambda done: progress("text encoding", done, len(lengths)))
        rows = torch.cat(list(states.values())).double()
        return Studied({"general": (rows.T @ rows / len(rows)).float()})

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """R of each matrix."""
        states, settings = problem.states, problem.settings
        general = states.moments["general"].to(states.states.device).double()
        kept = columns(states, [Prompt(name, name) for name in problem.preserve])
        forces = Forces(
            columns(states, list(dict.fromkeys(pair.concept for pair in problem.pairs))),
            columns(states, list(dict.fromkeys(pair.anchor for pair in problem.pairs))),
            settings.erase_scale,
            settings.preserve_scale * kept @ kept.T
            + settings.general_scale * general
            + settings.ridge * torch.eye(states.width).to(general),
        )
        poll, dtype = partial(problem.progress, "rotation", 0, 1), problem.dtype

        def own(name: str, weight: Tensor) -> Tensors:
            return {"rotation": rotation(weight.double(), forces, poll).to(dtype)}

        return Fit({}, own, "rotation")

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """R W - W."""
        weight = weight.to(own["rotation"])
        return Change(own["rotation"] @ weight - weight, None, weight)

    def layout(self, settings: Any, held: Collection[str]) -> Layout:
        """R of each matrix."""
        return Layout(own={"rotation": Kind(None, "nn", -1.01, 1.01)})
