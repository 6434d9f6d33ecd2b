"""Unlearn Concepts: trains the model, inside the host, to forget."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..scapre.concepts.concepts import name_notes, parse_concepts, parse_preserve
from ..scapre.concepts.readings import shape_note
from ..scapre.edits.edit import Edit
from ..scapre.encode import encode_request
from ..scapre.errors import ScaPreError
from ..scapre.families import having, side
from ..scapre.methods import METHODS
from ..scapre.methods.kscu.neighbours import held_names
from ..scapre.methods.kscu.prompts import lessons
from ..scapre.request import Request
from ..scapre.solve import solve_edit
from .host.patch import check_strength
from .host.progress import TRAINING_STAGES, HostProgress
from .host.projections import HostProjections
from .host.resume import check_resumed
from .host.sampling import Sampling
from .host.text_encoder import encoder_for
from .host.training import Job, train
from .host.unfinished import keep
from .inputs.settings import check_whole, setting_inputs, settings_from
from .inputs.types import (
    CATEGORY,
    SCHEDULER,
    EditType,
    concepts_input,
    erased_outputs,
    preserve_input,
    scheduler_input,
    seed_input,
    strength_input,
)
from .page.summary import SHOWN_AGAIN, solved

log = logging.getLogger("scapre")

METHOD = "kscu"
_ALIASES = [
    *("train", "training", "fine-tune", "finetune", "KSCU", "ESD", "key steps", "unlearn", "forget", "erase", "remove"),
    *("concept erasure", "concept unlearning", "LoRA", "scapre"),
]


class Unlearn(io.ComfyNode):
    """Trains low-rank factors, or full weights, until the model no longer draws the concepts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreUnlearn",
            display_name="Unlearn Concepts",
            category=CATEGORY,
            description="Trains the model to forget the concepts you name, at the steps that carry them. It needs no "
            "images, takes minutes, and reaches what Erase Concepts cannot. It shows a picture before and after as it "
            "goes, and Cancel keeps what is trained so far.",
            search_aliases=_ALIASES,
            hidden=[io.Hidden.unique_id],
            inputs=_inputs(),
            outputs=erased_outputs(
                "The model as it was trained. Connect it to a sampler.", "How it was trained and what has changed"
            ),
            **SHOWN_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        concepts: str,
        preserve: str = "",
        preset: str = "style",
        strength: float = 1.0,
        seed: int = 0,
        preview_every: int = 50,
        resume: Edit | None = None,
        **numerics: Any,
    ) -> io.NodeOutput:
        """Trains, patches and reports."""
        check_strength(strength)
        check_whole(cls, preview_every=preview_every)
        solver, projections = METHODS[METHOD], HostProjections(model)
        preset, settings = settings_from(solver, preset, numerics)
        settings = replace(settings, scheduler=settings.scheduler or SCHEDULER)
        parsed = parse_concepts(concepts, "")
        names = parse_preserve(preserve, parsed.concepts)
        notes = (*shape_note(concepts), *name_notes(preserve, "preserve"), *projections.notes())
        request = Request(parsed, names, settings, seed, notes=notes, method=METHOD)
        progress = HostProgress(getattr(cls.hidden, "unique_id", None), TRAINING_STAGES)
        edit = _trained(model, clip, projections, request, preview_every, resume, progress)
        return solved(model, edit, strength, f"Preset {preset}, {edit.described}", progress)


def _refuse_quantised(projections: HostProjections, names: Sequence[str]) -> None:
    """Before anything is read or drawn."""
    if quantised := projections.quantised(names):
        raise ScaPreError(
            f"model: {quantised[0]} is quantised, and no weight can be trained in that. Load the model from a file in "
            "fp16, bf16 or fp32 (weight_dtype default) and train there; what is learned can be applied to this one."
        )


def _refuse_empty(projections: HostProjections, names: Sequence[str]) -> None:
    if not names:
        raise ScaPreError(
            f"model: {projections.family} models share the layers behind their text's first matrices with the picture, "
            "so there are none to train for a name. Use Erase Concepts."
        )


def _trained(
    model: Any,
    clip: Any,
    projections: HostProjections,
    request: Request,
    preview_every: int,
    resume: Edit | None,
    progress: HostProgress,
) -> Edit:
    settings: Any = request.settings
    names = having(projections, METHODS[METHOD].edits(settings))
    _refuse_empty(projections, names)
    _refuse_quantised(projections, names)
    encoder = encoder_for(clip, projections)
    states, encoding = encode_request(encoder, request, progress)
    projections.check_width(states.width)
    if resume is not None:
        check_resumed(resume, request, projections)
    pixels = settings.size or side(projections.family)
    held, notes = held_names(encoder, request.concepts.concepts, request.preserve, settings)
    job = Job(
        model,
        clip,
        Sampling(request.seed, settings.steps, settings.guidance, "euler", settings.scheduler, pixels, pixels),
        {name: projections.shape(name) for name in names},
        lessons(request.concepts.concepts, settings.prompts, request.seed),
        held,
        settings,
        request.seed,
        preview_every,
        None if resume is None else resume.payload,
    )

    began = time.perf_counter()
    finished = train(job, progress)
    seconds = time.perf_counter() - began
    noted = replace(request, settings=finished.settings, notes=(*request.notes, *notes, *finished.notes))
    edit = solve_edit(states, projections, noted, encode_seconds=encoding, learned=finished.payload)
    edit = replace(edit, report=replace(edit.report, seconds={"training": seconds, **edit.report.seconds}))
    if finished.stopped:
        place = keep(edit)
        progress.say(f"Stopped. What is trained so far is in {place}; load it with Load Edit, connect it to resume.")
        log.info("training stopped after %d iterations; kept as %s", int(finished.payload.shared["done"]), place)
        raise finished.stopped
    return edit


def _inputs() -> list[io.Input]:
    """Workflows keep the values of inputs by their places: a new one comes after all others."""
    settings = {one.id: one for one in setting_inputs({METHOD: METHODS[METHOD]}, METHOD)}
    shown = ("iterations", "learning_rate", "rank")
    return [
        io.Model.Input("model", tooltip="The model to train; with any LoRA before this node, which stays as it is."),
        io.Clip.Input("clip", tooltip="The text encoder of the same model; the one that your prompts use."),
        concepts_input(
            'What to forget, one per line. "cat -> dog" leads a cat to a dog, and a name alone to no prompt at all.'
        ),
        preserve_input("Names that must stay, one per line. They are held, unless hold is 0."),
        io.Combo.Input(
            "preset",
            options=list(METHODS[METHOD].presets),
            default="style",
            optional=True,
            tooltip="Layers, key steps and iterations as published. "
            + " ".join(f"{preset.name}: {preset.about}" for preset in METHODS[METHOD].presets.values()),
        ),
        strength_input(" To turn it without training again, use Apply Edit."),
        seed_input("Seed of all noise. The same seed gives the same edit on one device."),
        *(_open(settings[name]) for name in shown),
        io.Int.Input(
            "preview_every",
            default=50,
            min=0,
            max=10_000,
            optional=True,
            tooltip="Iterations between two previews of the first name, before and after, from one seed. 0: none.",
        ),
        EditType.Input(
            "resume", optional=True, tooltip="An edit of this node, such as one that Cancel has kept, to go on from."
        ),
        *(one for name, one in settings.items() if name not in (*shown, "scheduler")),
        scheduler_input(),
    ]


def _open(one: io.Input) -> io.Input:
    """An input that is shown without the advanced view."""
    one.advanced = None
    return one
