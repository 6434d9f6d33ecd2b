"""`auto`: values alone, learned from whole prompts, held by the kin of what is erased; one matrix for all layers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from ...concepts.concepts import Concept
from ...errors import ScaPreError
from ...families import VALUES, Projections
from ...progress import Progress
from ...states.encoder import Encoder
from ...states.prompts import NULL
from ...states.readings import SECOND, readings
from ...states.token_states import Reads
from ..method import Fit, Held, Problem, Studied
from ..payload import Kind, Layout, Payload, Tensors
from ..right import RightMethod, right_factors, right_matrix
from ..settings import MethodSettings, Preset, choice, number, switch, text
from .contexts import Wordings
from .kin import find_kin
from .kinds import KINDS, kinds_of
from .moments import Moments, joined, together
from .notes import kin_notes
from .solution import Product, constrained, harm, reach_of
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
        0.0,
        "β, how far the edit goes: 1 to the anchor, 2 as far beyond it again. 0: 2 where kin of the names were found "
        "or are erased with them, 1.35 elsewhere, and 1 where that would harm.",
        0,
        10,
        offered=4,
        step=0.1,
    )
    simplify: float = number(
        0.05, "Share of the change that may be left out to make it small and fast.", 0, 0.5, step=0.01
    )
    kind: str = choice(
        "any", ("any", *KINDS), "What the names are, for the words that stand in for them where nothing near is found."
    )
    search: bool = switch(True, "Finds words near to the names, which stay, in the text encoder's vocabulary.")
    wordings: str = text(
        "Prompts in which the names are erased, parted by ; with NAME for the name and perhaps OTHER for a word beside "
        "it, as in: a poster by NAME; a NAME beside a OTHER. Empty: those that come with the method."
    )

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ScaPreError: For a value outside its range, or wordings without a place for the name.
        """
        super().__post_init__()
        Wordings.of(self.wordings)


_NOTHING = 1e-6  # of the greatest: what is left of a direction that the empty prompt does not have
_HELD = 4  # in a part of the width: a window fills a small encoder, and nothing could move


class Auto(RightMethod):
    """W' = W (I + B) with B = β D (λ ν I + S + p G)⁻¹, on the values alone; see `moments` for S, D and G.

    ν is the mean square of a number in the states. What takes a name's place is the mean of a few of its kin in the
    same prompt, unless an anchor is typed. So D holds only what is the name's own. The states of the empty prompt do
    not move at all: B is the best under that condition.
    """

    title = "auto"
    about = "Erases and keeps; for any list."
    roles = VALUES
    settings = Settings
    presets = MappingProxyType({"auto": Preset("auto", "Erases and keeps; for any list.", Settings())})
    reads = Reads.LAST
    joint = True
    sums = True
    kin = True
    preserves = True
    moments = MappingProxyType({
        "erased": Kind(torch.float32, "t"), "kept": Kind(torch.float32, "t"), "apart": Kind(torch.float32, "t"),
        "common": Kind(torch.float32, "t"), "way": Kind(torch.float32, "dd"), "counts": Kind(torch.float32, "c", 0),
        "kin": Kind(torch.float32, "ad"),
    })  # fmt: skip

    def study(
        self, encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], settings: Any, progress: Progress,
        known: Studied | None = None,
    ) -> Studied:  # fmt: skip
        """S, D, G and ν."""
        kinds, search = kinds_of(settings.kind, concepts), settings.search
        kin = known.kin if known else find_kin(encoder, concepts, preserve, kinds, search=search)
        alike = {concept.text: near.alike for concept, near in zip(concepts, kin, strict=True) if near.alike}
        wordings = Wordings.of(settings.wordings)
        read = [study(one, concepts, preserve, kin, wordings, progress) for one in readings(encoder)]
        return Studied(together(read).tensors(), kin_notes(concepts, kin), alike, kin)

    def anchors(self, moments: Tensors, concepts: Sequence[Concept]) -> Tensors:
        """The mean of its kin for every concept without a typed anchor, as each text encoder reads it."""
        kin = moments["kin"].unflatten(0, (len(concepts), -1))
        rows = [(concept.text, states) for concept, states in zip(concepts, kin, strict=True) if concept.anchor == NULL]
        return {
            prefix + text: state for text, states in rows for prefix, state in zip(("", SECOND), states, strict=False)
        }

    def joined(self, held: Sequence[Held], concepts: Sequence[str], preserve: Sequence[str]) -> Tensors:
        """Sums of the moments; the edit reaches no farther than the most careful of the edits."""
        left = [found for found in held if found.concepts]
        reach = min(float(found.payload.shared["reach"][0]) for found in left)
        return joined([Moments.of(found.moments) for found in left], reach).tensors()

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """B."""
        settings, states = problem.settings, problem.states
        moments = Moments.of({key: value.to(states.states.device) for key, value in states.moments.items()})
        null = states.of(NULL).double()
        try:
            way = Product.of(moments.way) if problem.dtype == torch.float32 else Product(None, moments.way.T)
            harmed = harm(moments, way, settings.hold, settings.keep)
        except torch.linalg.LinAlgError:
            raise ScaPreError("edit: its moments are no sums of squares. It is damaged; make it again.") from None
        reach = settings.reach or reach_of(moments, harmed)
        _, sizes, directions = torch.linalg.svd(null, full_matrices=False)
        held = directions[sizes > _NOTHING * sizes[0]][: len(moments.way) // _HELD].T
        found = constrained(way, moments.metric(settings.hold, settings.keep), held)
        if found.left is None:
            payload = right_matrix(reach * found.whole(), problem.dtype, held, settings.simplify)
        else:
            payload = right_factors(reach * found.left, found.right, problem.dtype, held, settings.simplify)
        return Fit({**payload, "reach": torch.tensor([reach, harmed], dtype=torch.float64)})

    def layout(self, settings: Any, held: Collection[str]) -> Layout:
        """B in one of its forms, and with it β and how far kin that were left out would have moved."""
        found = super().layout(settings, held)
        return Layout({**found.shared, "reach": Kind(torch.float64, "o", 0)})

    def figures(self, payload: Payload, settings: Any) -> dict[str, float]:
        """How far it reaches, how far kin that were left out would move against the concepts, if any, and B's rank."""
        reach, harmed = payload.shared["reach"].tolist()
        tested = {"left-out kin moved": harmed} if harmed else {}
        return {"reach": reach, **tested, **super().figures(payload, settings)}
