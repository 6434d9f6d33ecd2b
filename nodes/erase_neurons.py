"""Erase Neurons: watches the model draw, and cuts the weights that answer the concepts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..scapre.concepts.concepts import ConceptList, name_notes, parse_concepts, parse_preserve
from ..scapre.concepts.readings import shape_note
from ..scapre.edits.edit import Edit
from ..scapre.encode import encode_request
from ..scapre.errors import ScaPreError
from ..scapre.families import having, side
from ..scapre.methods import METHODS
from ..scapre.methods.fia.prompts import plan
from ..scapre.request import Request
from ..scapre.solve import solve_edit
from .host.patch import check_strength
from .host.progress import DRAWING_STAGES, HostProgress
from .host.projections import HostProjections
from .host.sampling import Sampling
from .host.steps import SAMPLERS, check_sampler
from .host.text_encoder import encoder_for
from .host.watching import watch
from .inputs.settings import check_whole, setting_inputs, settings_from
from .inputs.types import (
    CATEGORY,
    SCHEDULER,
    concepts_input,
    erased_outputs,
    preserve_input,
    scheduler_input,
    seed_input,
    strength_input,
)
from .page.summary import SHOWN_AGAIN, solved

METHOD = "fia"
_SAMPLER = "euler"
_ALIASES = [
    *("prune", "pruning", "neurons", "neuron", "FIA", "forget", "forget it all", "mask", "cut", "erase", "unlearn"),
    *("remove", "training-free", "concept erasure", "scapre"),
]


class EraseNeurons(io.ComfyNode):
    """Finds the weights that answer concepts while the model draws, and cuts them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreEraseNeurons",
            display_name="Erase Neurons",
            category=CATEGORY,
            description="Watches the model draw the concepts you name, finds the weights that answer them and nothing "
            "else, and cuts those. It needs no images and no training, and takes as long as a few dozen short pictures "
            "for each name.",
            search_aliases=_ALIASES,
            hidden=[io.Hidden.unique_id],
            inputs=_inputs(),
            outputs=erased_outputs(
                "The model without the weights. Connect it to a sampler.",
                "How many weights answer each name and how many are cut",
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
        preset: str = "object",
        strength: float = 1.0,
        seed: int = 0,
        rounds: int = 1,
        **numerics: Any,
    ) -> io.NodeOutput:
        """Draws, selects, patches and reports."""
        check_strength(strength)
        check_whole(cls, rounds=rounds)
        solver, projections = METHODS[METHOD], HostProjections(model)
        preset, settings = settings_from(solver, preset, numerics)
        settings = replace(
            settings, sampler_name=settings.sampler_name or _SAMPLER, scheduler=settings.scheduler or SCHEDULER
        )
        parsed, notes = _without_anchors(parse_concepts(concepts, ""))
        names = parse_preserve(preserve, parsed.concepts)
        notes = (*notes, *shape_note(concepts), *name_notes(preserve, "preserve"), *projections.notes())
        request = Request(parsed, names, settings, seed, notes=notes, method=METHOD)
        progress = HostProgress(getattr(cls.hidden, "unique_id", None), DRAWING_STAGES)
        edit = _solve(model, clip, projections, request, rounds, progress)
        return solved(model, edit, strength, f"Preset {preset}, {edit.described}, seed {seed}", progress)


def _without_anchors(parsed: ConceptList) -> tuple[ConceptList, tuple[str, ...]]:
    """The list without what should take the place of a name: nothing does where weights are cut."""
    if not any(concept.anchor for concept in parsed.concepts):
        return parsed, ()
    note = "what stands after an arrow has no part in this: weights are cut, and nothing takes a name's place"
    return replace(parsed, concepts=tuple(replace(concept, anchor="") for concept in parsed.concepts)), (note,)


def _solve(
    model: Any, clip: Any, projections: HostProjections, request: Request, rounds: int, progress: HostProgress
) -> Edit:
    watched = having(projections, METHODS[METHOD].roles)
    if not watched:
        raise ScaPreError(
            f"model: this {projections.family} model has no feed-forward layers that can be cut. Use Erase Concepts."
        )
    erased = [concept.text for concept in request.concepts.concepts]
    settings: Any = request.settings
    drawn = plan(settings.kind, settings.words, settings.pairs, [*erased, *request.preserve])
    pixels = settings.size or side(projections.family)
    sampling = Sampling(
        request.seed, settings.steps, settings.cfg, settings.sampler_name, settings.scheduler, pixels, pixels
    )
    check_sampler(sampling)
    projections.quantised(watched)  # refuses weights that do not give their values before anything is drawn
    states, seconds = encode_request(encoder_for(clip, projections), request, progress)
    projections.check_width(states.width)
    seen = watch(model, clip, sampling, drawn, projections, watched, settings, rounds, progress)
    request = replace(request, notes=(*request.notes, *drawn.notes(settings.pairs), *seen.notes))
    states = replace(states, moments=seen.moments)
    edit = solve_edit(states, projections, request, progress=progress, encode_seconds=seconds)
    return replace(edit, report=replace(edit.report, seconds={"drawing": seen.seconds, **edit.report.seconds}))


def _inputs() -> list[io.Input]:
    """Workflows keep the values of inputs by their places: a new one comes after all others."""
    own = [
        one for one in setting_inputs({METHOD: METHODS[METHOD]}, METHOD) if one.id not in ("sampler_name", "scheduler")
    ]
    return [
        io.Model.Input("model", tooltip="The model to edit; it also draws, with any LoRA before this node."),
        io.Clip.Input("clip", tooltip="The text encoder of the same model; the one that your prompts use."),
        concepts_input(
            "What to forget, one per line. Lines that start with # are comments; double quotes take a name literally."
        ),
        preserve_input(
            "Names that must stay, one per line. What answers them is not cut; each takes as long as a concept."
        ),
        io.Combo.Input(
            "preset",
            options=list(METHODS[METHOD].presets),
            default="object",
            optional=True,
            tooltip="Released settings, and the prompts that are drawn. "
            + " ".join(f"{preset.name}: {preset.about}" for preset in METHODS[METHOD].presets.values()),
        ),
        strength_input(" Here 1 sets weights to zero, and more reverses them."),
        seed_input("Seed of the noise that all pictures start from. The same seed gives the same edit."),
        *own,
        io.Combo.Input(
            "sampler_name",
            options=SAMPLERS,
            default=_SAMPLER,
            optional=True,
            advanced=True,
            tooltip="The sampling algorithm, of those that neither add noise nor look back at earlier steps.",
        ),
        scheduler_input(),
        io.Int.Input(
            "rounds",
            default=1,
            min=1,
            max=64,
            optional=True,
            advanced=True,
            tooltip="Raise it if memory is short: n rounds draw all pictures n times, watch an n-th of the layers each "
            "time and need about an n-th of the memory. What is cut is the same. There are more by themselves where "
            "they are needed, and never more than layers.",
        ),
    ]
