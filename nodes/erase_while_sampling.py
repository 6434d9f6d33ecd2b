"""Erase While Sampling: concepts are taken out of what the text says while a part of the picture is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..scapre.checkpoints.towers import WINDOW
from ..scapre.concepts.concepts import parse_concepts
from ..scapre.concepts.spelling import core
from ..scapre.edits.edit import Edit
from ..scapre.errors import ScaPreError
from ..scapre.families import Role, of_vectors, text_encoder
from ..scapre.progress import silent
from ..scapre.report.markdown import escape
from ..scapre.states.encoder import Encoder
from ..scapre.states.readings import readings
from ..scapre.states.tokens import check_read
from .host.patch import check_edit
from .host.projections import HostProjections
from .host.text_encoder import encoder_for
from .host.while_sampling import CONDITIONINGS, Change, EditChange, ValueChange, When, change_while_sampling
from .inputs.types import CATEGORY, EditType, concepts_input, strength_input

MOST_NAMES = 100


class EraseWhileSampling(io.ComfyNode):
    """Changes what a model reads while the noise is in a range."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreEraseWhileSampling",
            display_name="Erase While Sampling",
            category=CATEGORY,
            description="Takes concepts out of the text's values token by token while the model draws (AdaVD), or "
            "applies an edit, in the part of the sampling that you choose. No weight is changed.",
            search_aliases=[
                *("erase", "remove", "forget", "concept erasure", "scapre", "adavd", "schedule", "timestep", "sigma"),
                *("start", "end", "range", "negative", "inference"),
            ],
            inputs=_inputs(),
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model that forgets while it draws. To a sampler."),
                io.String.Output(display_name="report", tooltip="What is changed, and when."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any = None,
        concepts: str = "",
        edit: Edit | None = None,
        strength: float = 1.0,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        conditioning: str = "both",
        gate: str = "off",
    ) -> io.NodeOutput:
        """Wraps a clone of the model."""
        projections = HostProjections(model)
        _check_one(concepts, edit)
        when = When(start_percent, end_percent, conditioning)
        change, what, notes = (
            _values(projections, clip, concepts, strength, gate == "on")
            if edit is None
            else _applied(model, projections, edit, strength)
        )
        sampling = model.get_model_object("model_sampling")
        first, last = when.sigmas(sampling)
        sigmas = f"σ {min(first, float(sampling.sigma_max)):.3g} to {last:.3g} as the model is here"
        shares = f"{start_percent:.0%} to {end_percent:.0%} of the sampling ({sigmas})"
        nothing = [] if strength else ["Strength 0: the model is as it was"]
        lines = [f"{what}; strength {strength:g}, {shares}, {_PROMPTS[conditioning]}", *nothing, *notes]
        changed = change_while_sampling(model, change, when) if strength else model
        return io.NodeOutput(changed, "\n\n".join(["# Erase While Sampling", *map(escape, lines)]))


_PROMPTS = {"both": "all prompts", "positive": "the positive prompt", "negative": "the negative prompt"}


def _check_one(concepts: str, edit: Edit | None) -> None:
    if bool(concepts.strip()) == (edit is not None):
        raise ScaPreError(
            "concepts: there are none, and no edit is connected. Type names, or connect an edit."
            if edit is None
            else "edit: names are typed, too, and one of them alone is applied. Empty concepts, or use two nodes."
        )


def _applied(model: Any, projections: HostProjections, edit: Edit, strength: float) -> tuple[Change, str, list[str]]:
    """An edit: the change, what it is, and nothing more to know."""
    check_edit(model, projections, edit)
    what = f"An edit of {_many(len(edit.concepts), 'concept')} in {len(edit.matrices)} matrices"
    return EditChange(model, edit, strength), what, []


def _values(
    projections: HostProjections, clip: Any, concepts: str, strength: float, gate: bool
) -> tuple[Change, str, list[str]]:
    """AdaVD of typed names: the change, what it is, and what to know of the list."""
    names = [name for name, role in projections.roles.items() if role is Role.VALUE]
    if not names or of_vectors(projections.family):
        raise ScaPreError(
            f"model: {projections.family} models have no values of a text alone that names could be taken out of while "
            "it draws. Connect an edit of Erase Concepts to edit, or use that node."
        )
    parsed = parse_concepts(concepts)
    found = [concept.text for concept in parsed.concepts]
    if len(found) > MOST_NAMES:
        raise ScaPreError(
            f"concepts: {len(found):,} are more than are taken out token by token ({MOST_NAMES}). Use Erase Concepts, "
            "and connect its edit."
        )
    encoders = readings(encoder_for(clip, projections))
    check_read(encoders, found)
    states = torch.cat([_last(encoder, found) for encoder in encoders])
    window = WINDOW if text_encoder(projections.family).is_clip else 0
    anchors = [concept.text for concept in parsed.concepts if concept.anchor]
    notes = [*parsed.notes, *(["Anchors are not used here"] if anchors else [])]
    how = "AdaVD, gated" if gate else "AdaVD"
    what = f"{_many(len(found), 'concept')} taken out of the values of {len(names)} matrices ({how})"
    return ValueChange(names, states, window, strength, gate=gate), what, notes


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def _last(encoder: Encoder, names: Sequence[str]) -> Tensor:
    """States of names' last tokens, (names, d); of what an encoder reads nothing there is none."""
    places = [len(encoder.tokens(core(name))) for name in names]
    states = encoder.encode(list(names), silent)
    rows = [states[number, place] for number, place in enumerate(places) if place]
    return torch.stack(rows) if rows else states[:0, 0]


def _inputs() -> list[io.Input]:
    percent: dict[str, Any] = {"min": 0.0, "max": 1.0, "step": 0.01, "round": 0.001, "optional": True}
    return [
        io.Model.Input("model", tooltip="The model to draw with, with LoRAs and edits."),
        concepts_input("What to forget, one per line. Anchors are not used. Empty, if an edit is connected."),
        io.Clip.Input("clip", optional=True, tooltip="The text encoder of the model; names are read with it."),
        EditType.Input("edit", optional=True, tooltip="An edit to apply in that part of the sampling, and no names."),
        strength_input(),
        io.Float.Input(
            "start_percent", default=0.0, **percent,
            tooltip="Where on the way from noise to picture it begins: 0 at the first step.",
        ),
        io.Float.Input(
            "end_percent", default=1.0, **percent,
            tooltip="Where it ends: 1 with the last step. What comes behind it is drawn by the model as it is.",
        ),
        io.Combo.Input(
            "conditioning", options=list(CONDITIONINGS), default="both", optional=True,
            tooltip="Which prompts are changed.",
        ),
        io.Combo.Input(
            "gate", options=["off", "on"], default="off", optional=True, advanced=True,
            tooltip="For names: off takes a concept's part out of every token; on changes tokens by how alike their "
            "values are to a concept's, and those most alike twice as far, as published.",
        ),
    ]  # fmt: skip
