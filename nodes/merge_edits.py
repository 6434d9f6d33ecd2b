"""Merge Edits: several edits, or a part of one, solved anew as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from comfy_api.latest import io

from ..scapre.concepts.concepts import parse_names
from ..scapre.edits.edit import Edit
from ..scapre.errors import ScaPreError
from ..scapre.merge import merge_edits
from .host.carried import HOOKED, ITSELF, MERGED, carried
from .host.device import compute_device, room_on, with_cpu_fallback
from .host.patch import check_strength
from .host.progress import HostProgress, stages_of
from .host.projections import HostProjections
from .host.text_encoder import encoder_for
from .host.tokenizer import tokens_told
from .inputs.types import CATEGORY, EditType, device_input, names_input, strength_input
from .page.summary import SHOWN_AGAIN, solved

EDITS = tuple(f"edit_{number}" for number in range(1, 9))
_WITHOUT = {
    ITSELF: "Connect the model from before the node that erases or applies them.",
    MERGED: "Merge the models without their edits, and connect that.",
    HOOKED: "Remove the hook.",
}


class MergeEdits(io.ComfyNode):
    """Solves the concepts of several edits together and patches the model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreMergeEdits",
            display_name="Merge Edits",
            category=CATEGORY,
            description="Makes one edit of several by solving all their concepts together, takes concepts out of an "
            "edit, or solves an edit anew for another model.",
            search_aliases=[
                *("combine", "join", "union", "add", "remove", "restore", "bring back", "stack", "erase"),
                *("concept erasure", "scapre"),
            ],
            hidden=[io.Hidden.unique_id],
            inputs=_inputs(),
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the edit. Connect it to a sampler."),
                EditType.Output(display_name="edit", tooltip="The edit of all concepts, for Save Edit or Apply Edit."),
                io.String.Output(
                    display_name="report",
                    tooltip="What was erased, whose settings were taken, and how the text projections answer now, "
                    "as Markdown. Connect it to Preview as Text.",
                ),
            ],
            **SHOWN_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        edits: Mapping[str, Edit],
        remove: str = "",
        settings_from: str = EDITS[0],
        strength: float = 1.0,
        device: str = "auto",
        clip: Any = None,
    ) -> io.NodeOutput:
        """Solves, patches and reports."""
        check_strength(strength)
        projections = _original(model)
        stages = stages_of(part for edit in edits.values() for part in edit.further)
        progress, names = HostProgress(getattr(cls.hidden, "unique_id", None), stages), parse_names(remove, "remove")
        encoder = None if clip is None else encoder_for(clip, projections)
        notes = tuple(dict.fromkeys(note for edit in edits.values() for note in tokens_told(edit)))

        def solve(where: torch.device) -> Edit:
            told = (*projections.notes(), *notes)
            return merge_edits(
                edits, projections, names, settings_from,
                notes=told, encoder=encoder, device=where, progress=progress, room=room_on(where),
            )  # fmt: skip

        edit = with_cpu_fallback(solve, compute_device(device))
        return solved(model, edit, strength, f"Merged {', '.join(edits)}; settings of {settings_from}", progress)


def _original(model: Any) -> HostProjections:
    projections = HostProjections(model)
    if held := next(carried(model), None):
        raise ScaPreError(
            f"model: it carries an edit {held.where}, and edits are merged from the original weights. "
            f"{_WITHOUT[held.where]}"
        )
    return projections


def _inputs() -> list[io.Input]:
    return [
        io.Model.Input(
            "model", tooltip="The original model, without any of the edits; a LoRA before this node is edited with it."
        ),
        io.Autogrow.Input(
            "edits",
            template=io.Autogrow.TemplateNames(
                EditType.Input("edit", tooltip="From Load Edit, Erase Concepts or another Merge Edits."),
                names=list(EDITS),
                min=1,
            ),
            tooltip="The edits; a new socket appears for the next one. One alone is solved anew for this model.",
        ),
        names_input(
            "remove",
            "concepts to bring back, one per line",
            "Concepts to take out of the edits, one per line, as they are written there. The rest is solved as if they "
            "had never been in it.",
            optional=True,
        ),
        io.Combo.Input(
            "settings_from",
            options=list(EDITS),
            default=EDITS[0],
            optional=True,
            tooltip="The edit whose settings, seed and wordings are used for all. The report says where the others "
            "differed.",
        ),
        strength_input(" To turn it without solving again, use Apply Edit."),
        device_input(),
        io.Clip.Input(
            "clip",
            optional=True,
            tooltip="The text encoder of the model. Needed to take names out of edits of the method auto, for files "
            "that were saved without the states of their texts, and for HiDream.",
        ),
    ]
