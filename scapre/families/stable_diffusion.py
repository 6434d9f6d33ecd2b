"""Stable Diffusion UNets: cross-attention keys and values read the text encoder's states directly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

Finder = Callable[[Iterable[str]], tuple[str, ...]]
Part = Literal["key", "value"]
Placer = Callable[[str], tuple[str, Part] | None]

TITLES = {
    "SD15": "SD1.x",
    "SD20": "SD2.x",
    "SD21UnclipL": "SD2.x",
    "SD21UnclipH": "SD2.x",
    "SDXL": "SDXL",
    "SDXLRefiner": "SDXL refiner",
    "SSD1B": "SSD-1B",
    "Segmind_Vega": "Segmind Vega",
    "KOALA_700M": "KOALA",
    "KOALA_1B": "KOALA",
}

_PROJECTION = re.compile(r"attn2\.to_([kv])\.weight$")
_PLACE = re.compile(r"(input|middle|output)_block(?:s\.(\d+))?\.\d+\.transformer_blocks\.(\d+)\." + _PROJECTION.pattern)


def text_projections(parameters: Iterable[str]) -> tuple[str, ...]:
    """Names of the key and value projections of every cross-attention block, in the model's order."""
    return tuple(name for name in parameters if _PROJECTION.search(name))


def place(name: str) -> tuple[str, Part] | None:
    """Label of a projection's layer, and key or value: `input 4.1` is the second transformer of the fifth input block.

    The middle has one block, so that `middle 0` is its first transformer. None for another name.
    """
    found = _PLACE.search(name)
    if not found:
        return None
    side, block, transformer, part = found.groups()
    return f"{side} {block}.{transformer}" if block else f"{side} {transformer}", "key" if part == "k" else "value"
