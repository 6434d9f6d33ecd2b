"""Stable Diffusion UNets: cross-attention keys and values read the text encoder's states directly.

Every transformer block ends with a gated feed-forward network, whose second matrix gives the block's answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .roles import Role

TITLES = {
    "SD15": "SD1.x",
    "SD15_instructpix2pix": "SD1.x",
    "SD20": "SD2.x",
    "SD21UnclipL": "SD2.x",
    "SD21UnclipH": "SD2.x",
    "SDXL": "SDXL",
    "SDXL_instructpix2pix": "SDXL",
    "SDXLRefiner": "SDXL refiner",
    "SSD1B": "SSD-1B",
    "Segmind_Vega": "Segmind Vega",
    "KOALA_700M": "KOALA",
    "KOALA_1B": "KOALA",
}

SIDES = {"SD1.x": 512, "SD2.x": 512}
"""Pixels of a side that a family draws at, where it is not 1,024."""

_ROLES = {"attn2.to_k": Role.KEY, "attn2.to_v": Role.VALUE, "ff.net.2": Role.FEED_FORWARD}
_PROJECTION = re.compile(r"\.(attn2\.to_[kv]|ff\.net\.2)\.weight$")
_PLACE = re.compile(r"(input|middle|output)_block(?:s\.(\d+))?\.\d+\.transformer_blocks\.(\d+)" + _PROJECTION.pattern)


def roles(parameters: Iterable[str]) -> dict[str, Role]:
    """Key, value and feed-forward output of every transformer block, in the model's order."""
    found = ((name, _PROJECTION.search(name)) for name in parameters)
    return {name: _ROLES[match[1]] for name, match in found if match}


def place(name: str) -> tuple[str, Role] | None:
    """Label of a projection's layer, and its role: `input 4.1` is the second transformer of the fifth input block.

    The middle has one block, so that `middle 0` is its first transformer. None for another name.
    """
    found = _PLACE.search(name)
    if not found:
        return None
    side, block, transformer, part = found.groups()
    return f"{side} {block}.{transformer}" if block else f"{side} {transformer}", _ROLES[part]
