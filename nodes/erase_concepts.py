"""Erase Concepts: the node between a loader and a sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ..scapre.concepts.alike import remember
from ..scapre.concepts.concepts import name_notes, parse_concepts, parse_preserve
from ..scapre.concepts.readings import shape_note
from ..scapre.edits.edit import Edit
from ..scapre.encode import encode_request
from ..scapre.methods import FIRST, USUAL, closed_form, closed_forms
from ..scapre.methods.settings import declared
from ..scapre.request import Request
from ..scapre.solve import solve_edit
from ..scapre.states.encoder import Encoder
from ..scapre.states.further import CHOICES, chosen
from ..scapre.states.prompts import TEMPLATES, wordings_named
from .host.device import compute_device, room_on, with_cpu_fallback
from .host.patch import check_strength
from .host.progress import ASKING_STAGES, HostProgress, stages_of
from .host.projections import HostProjections
from .host.strengths import MOST_PREDICTIONS, asked_strength, check_askable
from .host.text_encoder import encoder_for
from .inputs.settings import METHODS_OF, PRESETS_OF, setting_inputs, settings_from
from .inputs.types import (
    CATEGORY,
    concepts_input,
    device_input,
    erased_outputs,
    preserve_input,
    seed_input,
    size_input,
    strength_input,
)
from .page.summary import SHOWN_AGAIN, solved

_ALIASES = [
    *("erase", "remove", "delete", "forget", "unlearn", "ban", "block", "negative", "concept erasure", "scapre", "uce"),
    *("artist", "style", "object", "nsfw", "explicit", "nudity", "safety"),
    *("remove artist", "remove style", "remove object"),
]


class EraseConcepts(io.ComfyNode):
    """Solves an edit for a list of concepts and patches the model with it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreEraseConcepts",
            display_name="Erase Concepts",
            category=CATEGORY,
            description="Makes a model forget the concepts you name: styles, objects, explicit content. It takes "
            "seconds, needs no images, and changes no file.",
            search_aliases=_ALIASES,
            hidden=[io.Hidden.unique_id],
            inputs=_inputs(),
            outputs=erased_outputs(
                "The model without the concepts. Connect it to a sampler.",
                "What was erased and how the text projections answer now",
            ),
            **SHOWN_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        concepts: str,
        anchor: str = "",
        preserve: str = "",
        preset: str = "objects-few",
        strength: float = 1.0,
        seed: int = 0,
        templates: str = "none",
        device: str = "auto",
        method: str = FIRST,
        pooled: str = "auto",
        auto_strength: bool = False,
        most_left: float = 0.0,
        size: int = 0,
        **numerics: Any,
    ) -> io.NodeOutput:
        """Solves, patches and reports."""
        check_strength(strength)
        parsed = parse_concepts(concepts, anchor)
        names, solver = parse_preserve(preserve, parsed.concepts), closed_form(method)
        preset, settings = settings_from(solver, preset, numerics)
        projections = HostProjections(model)
        if auto_strength:
            check_askable(model, size)
        further, remarks = chosen(pooled, projections)
        notes = (*shape_note(concepts), *name_notes(preserve, "preserve"), *projections.notes(), *remarks)
        request = Request(parsed, names, settings, seed, tuple(wordings_named(templates)), notes, method, further)
        stages = ASKING_STAGES if auto_strength else stages_of(further)
        progress = HostProgress(getattr(cls.hidden, "unique_id", None), stages)
        edit = _solve(projections, encoder_for(clip, projections), request, compute_device(device), progress)
        told: Sequence[str] = ()
        if auto_strength:
            strength, told = asked_strength(model, clip, edit, most_left, seed, size, progress)
        return solved(model, edit, strength, f"Preset {preset}, {edit.described}", progress, told)


def _solve(
    projections: HostProjections, encoder: Encoder, request: Request, device: torch.device, progress: HostProgress
) -> Edit:
    states, seconds = encode_request(encoder, request, progress)
    remember(states.alike)

    def solve(where: torch.device) -> Edit:
        return solve_edit(
            states, projections, request,
            device=where, progress=progress, encode_seconds=seconds, room=room_on(where),
        )  # fmt: skip

    return with_cpu_fallback(solve, device)


def _inputs() -> list[io.Input]:
    """Workflows keep the values of inputs by their places: a new one comes after all others."""
    settings = setting_inputs(closed_forms(), FIRST)
    early = len(declared(closed_forms()[FIRST].settings))
    return [
        *_main_inputs(),
        *_advanced_inputs(),
        *settings[:early],
        _method_input(),
        *settings[early:],
        _pooled_input(),
        *_asking_inputs(),
    ]


def _asking_inputs() -> Sequence[io.Input]:
    return (
        io.Boolean.Input(
            "auto_strength",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Sets the strength by asking the model itself, as Probe does: the least strength at which little "
            "enough of every name is left, between 0 and 2. strength is not used then. Takes up to "
            f"{MOST_PREDICTIONS:,} predictions, as many as some pictures.",
        ),
        io.Float.Input(
            "most_left",
            default=0.0,
            min=-1.0,
            max=1.0,
            step=0.05,
            round=0.001,
            optional=True,
            advanced=True,
            tooltip="With auto_strength, how much of a name may be left of what it adds to the model's predictions: 1 "
            "all of it, 0 nothing, below 0 turned round.",
        ),
        size_input("With auto_strength, the side of the pictures that it is asked at, in pixels."),
    )


def _pooled_input() -> io.Input:
    return io.Combo.Input(
        "pooled",
        options=list(CHOICES),
        default="auto",
        optional=True,
        advanced=True,
        tooltip="Whether names are also erased from the pooled vector of a text, which SDXL and its relatives read "
        "beside its words. auto: where it stands among the words (Stable Cascade) or the text enters in few places "
        "(Flux, HunyuanVideo, Kandinsky 5), and not for SDXL: on a small model nothing came through it.",
    )


def _method_input() -> io.Input:
    return io.Combo.Input(
        "method",
        options=list(closed_forms()),
        default=USUAL,
        optional=True,
        tooltip="How to erase. " + " ".join(f"{name}: {solver.about}" for name, solver in closed_forms().items()),
    )


def _main_inputs() -> Sequence[io.Input]:
    return (
        io.Model.Input("model", tooltip="The model to edit, with any LoRA that should be erased along with it."),
        io.Clip.Input("clip", tooltip="The text encoder of the same model; the one that your prompts use."),
        concepts_input(
            'What to forget, one per line. "cat -> dog" makes the model answer a cat with a dog. Lines that start with '
            "# are comments; double quotes take a name literally."
        ),
        io.String.Input(
            "anchor",
            default="",
            dynamic_prompts=False,
            optional=True,
            tooltip="What takes the place of concepts without an arrow, such as art or person. Empty: the kin of each "
            "name with the method auto, and nothing at all (the empty prompt) with others.",
        ),
        preserve_input(
            "Names that must stay, one per line. The method scapre only measures them; all others hold them."
        ),
        io.Combo.Input(
            "preset",
            options=list(
                dict.fromkeys(preset for name in (FIRST, *closed_forms()) for preset in closed_forms()[name].presets)
            ),
            default="objects-few",
            optional=True,
            extra_dict={PRESETS_OF: {name: list(solver.presets) for name, solver in closed_forms().items()}},
            tooltip="Released settings. "
            + " ".join(f"{preset.name}: {preset.about}" for preset in closed_forms()[FIRST].presets.values())
            + " Other methods have presets of their own.",
        ),
        strength_input(" To turn it without solving again, use Apply Edit."),
        seed_input(
            "Seed of the small noise that the method draws. The same seed gives the same edit.",
            extra_dict={METHODS_OF: [name for name, solver in closed_forms().items() if solver.seeded]},
        ),
    )


def _advanced_inputs() -> Sequence[io.Input]:
    return (
        io.Combo.Input(
            "templates",
            options=list(TEMPLATES),
            default="none",
            optional=True,
            advanced=True,
            extra_dict={METHODS_OF: [name for name, solver in closed_forms().items() if not solver.sums]},
            tooltip='Also erase each concept in common wordings, such as "painting by ...". More wordings, more time.',
        ),
        device_input(),
    )
