"""Before After Grid: pairs of pictures with their captions, as one picture to save or post."""

from __future__ import annotations

import torch
from comfy_api.latest import io
from PIL import Image
from torch import Tensor

from ..scapre.errors import ScaPreError
from .inputs.settings import check_whole
from .inputs.types import CATEGORY
from .pictures.grid import draw_grid
from .pictures.tensors import batch_of_one


class BeforeAfterGrid(io.ComfyNode):
    """Puts every prompt's before and after side by side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreBeforeAfterGrid",
            display_name="Before After Grid",
            category=CATEGORY,
            description="One picture of all pairs of Before and After, with captions, to save or to show.",
            search_aliases=[
                *("compare", "comparison", "side by side", "grid", "contact sheet", "captions", "figure", "collage"),
                *("image grid", "concept erasure", "scapre"),
            ],
            inputs=[
                io.Image.Input("before", tooltip="Pictures of the original model, from Before and After."),
                io.Image.Input("after", tooltip="As many pictures of the edited model, in the same order."),
                *_options(),
            ],
            outputs=[io.Image.Output(display_name="grid", tooltip="The grid, for Save Image or Preview Image.")],
        )

    @classmethod
    def execute(
        cls,
        before: Tensor,
        after: Tensor,
        captions: str = "",
        columns: int = 1,
        before_heading: str = "before",
        after_heading: str = "after",
    ) -> io.NodeOutput:
        """Checks, draws and hands over."""
        check_whole(cls, columns=columns)
        lines = captions.rstrip().splitlines()
        _check(len(before), len(after), len(lines))
        pairs = list(zip(map(_picture, before), map(_picture, after), strict=True))
        grid = draw_grid(pairs, lines, (before_heading, after_heading), columns)
        return io.NodeOutput(batch_of_one(grid))


def _check(before: int, after: int, captions: int) -> None:
    if not before or before != after:
        raise ScaPreError(
            f"after: {after:,} pictures do not pair up with {before:,} in before. Connect both outputs of one Before "
            "and After, or batches of one length."
        )
    if captions > before:
        raise ScaPreError(
            f"captions: {captions:,} lines are more than the {before:,} pairs of pictures. Write one line for each "
            "pair; an empty line leaves a pair without one."
        )


def _picture(image: Tensor) -> Image.Image:
    """A picture of (height, width, channels) in 0..1 as RGB: grey becomes that, and transparency is left out."""
    height, width, channels = image.shape
    values = image[..., : 3 if channels > 2 else 1].float().cpu().nan_to_num().clamp(0, 1)
    shades = (values * 255).round().to(torch.uint8).expand(height, width, 3)
    return Image.fromarray(shades.numpy())


def _options() -> tuple[io.Input, ...]:
    return (
        io.String.Input(
            "captions",
            multiline=True,
            default="",
            placeholder="one per line, or from Before and After",
            dynamic_prompts=False,
            optional=True,
            tooltip="What stands below each pair, one per line, at most two lines of it in the picture. Connect it to "
            "Before and After, or write your own.",
        ),
        io.Int.Input(
            "columns",
            default=1,
            min=1,
            max=16,
            optional=True,
            tooltip="Pairs in a row.",
        ),
        io.String.Input(
            "before_heading",
            default="before",
            dynamic_prompts=False,
            optional=True,
            tooltip="What stands above the pictures of the original model. Empty: nothing.",
        ),
        io.String.Input(
            "after_heading",
            default="after",
            dynamic_prompts=False,
            optional=True,
            tooltip="What stands above the pictures of the edited model. Empty: nothing.",
        ),
    )
