"""Tells a Stable Diffusion UNet's class from the names and shapes in a file, by the marks that ComfyUI goes by."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ScaPreError

Shapes = Mapping[str, Sequence[int]]

_BLOCK = re.compile(r"input_blocks\.(\d+)\.1\.transformer_blocks\.(\d+)\.")
_PROJECTED_VIEW = "cc_projection.weight"  # beside a UNet: it reads a picture's angle where others read text
_CONTROLS = ("zero_convs.", "input_hint_block.")


@dataclass(frozen=True)
class Signature:
    """What tells one class of UNets from the others.

    Attributes:
        text: Width of a text state; None where the class leaves it open.
        channels: Channels after the first convolution.
        vector: Width of the vector beside the time step, None without one.
        depths: Transformers in each input block that has any; None where the class leaves it open.
        inputs: Channels of what is made into a picture, with what is given beside it; None where that is left open.
        video: Whether it has layers over time.
        views: Whether the file must have a projection of views.
    """

    text: int | None
    channels: int
    vector: int | None
    depths: tuple[int, ...] | None = None
    inputs: int | None = None
    video: bool = False
    views: bool = False

    def covers(self, found: Signature) -> bool:
        """Whether a UNet is of this class."""
        fixed = (self.channels, self.vector, self.video) == (found.channels, found.vector, found.video)
        left_open = ((self.text, found.text), (self.depths, found.depths), (self.inputs, found.inputs))
        return fixed and found.views >= self.views and all(known in (None, its) for known, its in left_open)


# Models that answer to pictures, instructions by pictures, or views, which share their sizes with those below.
RELATIVES: Mapping[str, Signature] = {
    "LotusD": Signature(None, 320, 4, inputs=4),
    "Stable_Zero123": Signature(768, 320, None, inputs=8, views=True),
    "SD_X4Upscaler": Signature(1024, 256, None, inputs=7),
    "SVD_img2vid": Signature(1024, 320, 768, (1, 1, 1, 1, 1, 1), inputs=8, video=True),
    "SV3D_u": Signature(1024, 320, 256, (1, 1, 1, 1, 1, 1), inputs=8, video=True),
    "SV3D_p": Signature(1024, 320, 1280, (1, 1, 1, 1, 1, 1), inputs=8, video=True),
}

# A class with more marks stands before those that it shares them with.
SIGNATURES: Mapping[str, Signature] = {
    "SD15_instructpix2pix": Signature(768, 320, None, inputs=8),
    "SD15": Signature(768, 320, None),
    "SD20": Signature(1024, 320, None),
    "SD21UnclipL": Signature(1024, 320, 1536),
    "SD21UnclipH": Signature(1024, 320, 2048),
    "SDXLRefiner": Signature(1280, 384, 2560),
    "SDXL_instructpix2pix": Signature(2048, 320, 2816, (2, 2, 10, 10), inputs=8),
    "SDXL": Signature(2048, 320, 2816, (2, 2, 10, 10)),
    "SSD1B": Signature(2048, 320, 2816, (2, 2, 4, 4)),
    "Segmind_Vega": Signature(2048, 320, 2816, (1, 1, 2, 2)),
    "KOALA_700M": Signature(2048, 320, 2816, (2, 5)),
    "KOALA_1B": Signature(2048, 320, 2816, (2, 6)),
}


def detect(shapes: Shapes, beside: Collection[str] = (), field: str = "checkpoint") -> str:
    """Name of the class that ComfyUI detects a UNet as.

    Args:
        shapes: Shape of every parameter by its name inside the UNet, such as `input_blocks.0.0.weight`.
        beside: Names of all tensors in the file.
        field: What messages call it.

    Raises:
        ScaPreError: If it is none that this pack knows.
    """
    found = _signature(shapes, beside)
    if any(name.startswith(_CONTROLS) for name in shapes):
        raise ScaPreError(f"{field}: it is a ControlNet. Give the checkpoint it is used with.")
    # A first convolution over two axes: what has three makes something else than pictures.
    if len(shapes.get("input_blocks.0.0.weight", ())) == 4:
        for name, known in (*RELATIVES.items(), *SIGNATURES.items()):
            if known.covers(found):
                return name
    raise ScaPreError(
        f"{field}: its diffusion model is none that is supported (text width {found.text}, {found.channels} "
        f"channels, {found.inputs} at the input). Give a checkpoint of Stable Diffusion 1.x, 2.x or XL."
    )


def _signature(shapes: Shapes, beside: Collection[str]) -> Signature:
    channels, inputs, *_ = (*shapes.get("input_blocks.0.0.weight", ()), 0, 0)
    text = next((shape[-1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and shape), 0)
    vector = shapes.get("label_emb.0.0.weight", (0, None))[-1]
    video = any("time_stack" in name or "time_mix_blocks" in name for name in shapes)
    return Signature(text, channels, vector, _depths(shapes), inputs, video, _PROJECTED_VIEW in beside)


def _depths(shapes: Shapes) -> tuple[int, ...]:
    depths: dict[int, int] = {}
    for block, transformer in (map(int, m.groups()) for m in map(_BLOCK.match, shapes) if m):
        depths[block] = max(depths.get(block, 0), transformer + 1)
    return tuple(depths[block] for block in sorted(depths))
