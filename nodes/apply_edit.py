"""Apply Edit: puts a solved edit on a model at any strength, without solving again."""

from __future__ import annotations

from comfy_api.latest import io

from ..scapre.edit import Edit
from .host import apply_edit
from .types import CATEGORY, EditType, strength_input


class ApplyEdit(io.ComfyNode):
    """Patches a model with an edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreApplyEdit",
            display_name="Apply Edit",
            category=CATEGORY,
            description="Applies an edit from Erase Concepts to a model. Use it to turn the strength without solving "
            "again, or to put one edit on several branches.",
            search_aliases=["erase", "forget", "unlearn", "concept erasure", "strength", "scapre"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model that the edit was made from: what goes into Erase Concepts, not its output.",
                ),
                EditType.Input("edit", tooltip="From Erase Concepts."),
                strength_input(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the edit. Connect it to a sampler.")
            ],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, edit: Edit, strength: float = 1.0) -> io.NodeOutput:
        """Patches a clone."""
        return io.NodeOutput(apply_edit(model, edit, strength))
