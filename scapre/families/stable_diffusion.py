"""Stable Diffusion UNets: cross-attention keys and values read the text encoder's states directly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Finder = Callable[[Iterable[str]], tuple[str, ...]]

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

_PROJECTION = re.compile(r"attn2\.to_[kv]\.weight$")


def text_projections(parameters: Iterable[str]) -> tuple[str, ...]:
    """Names of the key and value projections of every cross-attention block, in the model's order."""
    return tuple(name for name in parameters if _PROJECTION.search(name))
