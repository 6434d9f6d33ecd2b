"""Tells a Stable Diffusion UNet's family from the names and shapes in a file, by the marks that ComfyUI goes by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ScaPreError

Shapes = Mapping[str, Sequence[int]]

_BLOCK = re.compile(r"input_blocks\.(\d+)\.1\.transformer_blocks\.(\d+)\.")
_INPUTS = (4, 9)  # channels of a latent, without and with an inpainting mask


@dataclass(frozen=True)
class Signature:
    """What tells one class of UNets from the others.

    Attributes:
        text: Width of a text state.
        channels: Channels after the first convolution.
        vector: Width of the vector beside the time step, None without one.
        depths: Transformers in each input block that has any; None where the class leaves it open.
    """

    text: int
    channels: int
    vector: int | None
    depths: tuple[int, ...] | None = None


SIGNATURES: Mapping[str, Signature] = {
    "SD15": Signature(768, 320, None),
    "SD20": Signature(1024, 320, None),
    "SD21UnclipL": Signature(1024, 320, 1536),
    "SD21UnclipH": Signature(1024, 320, 2048),
    "SDXLRefiner": Signature(1280, 384, 2560),
    "SDXL": Signature(2048, 320, 2816, (2, 2, 10, 10)),
    "SSD1B": Signature(2048, 320, 2816, (2, 2, 4, 4)),
    "Segmind_Vega": Signature(2048, 320, 2816, (1, 1, 2, 2)),
    "KOALA_700M": Signature(2048, 320, 2816, (2, 5)),
    "KOALA_1B": Signature(2048, 320, 2816, (2, 6)),
}


def detect(shapes: Shapes) -> str:
    """Name of the class in `FAMILIES` that a UNet belongs to.

    Args:
        shapes: Shape of every parameter by its name inside the UNet, such as `input_blocks.0.0.weight`.

    Raises:
        ScaPreError: If it is none that is supported.
    """
    first = shapes.get("input_blocks.0.0.weight", ())
    text = next((shape[-1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and shape), 0)
    vector = shapes.get("label_emb.0.0.weight", (0, None))[-1]
    depths = _depths(shapes)
    found = Signature(text, first[0] if first else 0, vector, depths)
    for name, known in SIGNATURES.items():
        if known in (found, Signature(found.text, found.channels, found.vector)) and _plain(shapes, first):
            return name
    raise ScaPreError(
        f"checkpoint: its diffusion model is none that is supported (text width {text}, {found.channels} channels). "
        "Give a checkpoint of Stable Diffusion 1.x, 2.x or XL."
    )


def _depths(shapes: Shapes) -> tuple[int, ...]:
    depths: dict[int, int] = {}
    for block, transformer in (map(int, m.groups()) for m in map(_BLOCK.match, shapes) if m):
        depths[block] = max(depths.get(block, 0), transformer + 1)
    return tuple(depths[block] for block in sorted(depths))


def _plain(shapes: Shapes, first: Sequence[int]) -> bool:
    """Whether it makes pictures from text alone: models driven by a picture, and video models, share the widths."""
    return len(first) == 4 and first[1] in _INPUTS and not any("time_stack" in name for name in shapes)
