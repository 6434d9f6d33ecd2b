"""Apply Edit: puts a solved edit on a model at any strength, without solving again."""

from __future__ import annotations

import logging

from comfy_api.latest import io, ui

from ..scapre.edits.edit import Edit
from .host.patch import apply_edit, beside_notes
from .host.progress import HostProgress
from .host.projections import HostProjections
from .inputs.types import CATEGORY, EditType, strength_input
from .page.summary import other_weights

log = logging.getLogger("scapre")


class ApplyEdit(io.ComfyNode):
    """Patches a model with an edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreApplyEdit",
            display_name="Apply Edit",
            category=CATEGORY,
            description="Applies an edit to a model: one from a file, or from Erase Concepts to turn the strength "
            "without solving again.",
            search_aliases=["erase", "forget", "unlearn", "concept erasure", "strength", "scapre"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model that the edit was made from: what goes into Erase Concepts, not its output. The "
                    "node says so if its weights are others.",
                ),
                EditType.Input("edit", tooltip="From Erase Concepts, Merge Edits or Load Edit."),
                strength_input(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the edit. Connect it to a sampler.")
            ],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, edit: Edit, strength: float = 1.0) -> io.NodeOutput:
        """Patches a clone, and says by how much the weights are others than the edit's."""
        edited = apply_edit(model, edit, strength)
        apart = edit.difference(HostProjections(model).samples(edit.matrices)) if strength else 0.0
        notes = [other_weights(apart)] if apart else []
        for note in notes:
            log.warning(note)
        if strength:
            notes += [f"{note}." for note in beside_notes(edited)]
        if not notes:
            return io.NodeOutput(edited)
        note = "\n".join(notes)
        HostProgress(getattr(cls.hidden, "unique_id", None)).say(note)
        return io.NodeOutput(edited, ui=ui.PreviewText(note))
