"""Edit Map: the report of an edit as a picture."""

from __future__ import annotations

from comfy_api.latest import io

from ..scapre.edits.edit import Edit
from .inputs.settings import check_whole
from .inputs.types import CATEGORY, EditType
from .page.summary import report
from .pictures.edit_map import draw_edit_map
from .pictures.tensors import batch_of_one
from .pictures.themes import THEMES


class EditMap(io.ComfyNode):
    """Draws what an edit did to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreEditMap",
            display_name="Edit Map",
            category=CATEGORY,
            description="Draws the report of an edit as one picture: how the concepts answer now, what drifted, which "
            "layers changed, and which concepts lie close to each other.",
            search_aliases=[
                *("report", "chart", "graph", "plot", "diagram", "figure", "heat map", "heatmap", "visualize"),
                *("statistics", "similarity", "overlap", "conflict", "erase", "concept erasure", "scapre"),
            ],
            inputs=[
                EditType.Input("edit", tooltip="From Erase Concepts, Merge Edits or Load Edit."),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=640,
                    max=2048,
                    step=64,
                    optional=True,
                    tooltip="Width of the picture in pixels. Text grows with it; the height is what the report takes.",
                ),
                io.Combo.Input(
                    "theme",
                    options=list(THEMES),
                    default="light",
                    optional=True,
                    tooltip="Dark text on white, or light text on dark grey.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The picture, for Save Image or Preview Image.")],
        )

    @classmethod
    def execute(cls, edit: Edit, width: int = 1024, theme: str = "light") -> io.NodeOutput:
        """Measures, draws and hands over."""
        check_whole(cls, width=width)
        lines = [f"{edit.described[0].upper()}{edit.described[1:]}, seed {edit.seed}"]
        return io.NodeOutput(batch_of_one(draw_edit_map(report(edit, lines), width, theme)))
