"""Stable Diffusion UNets: cross-attention keys and values read the text encoder's states directly.

Every transformer block ends with a gated feed-forward network, whose second matrix gives the block's answer. Beside
transformers a block has convolutions, and what leads in and out. SDXL and its relatives also read the text as one
vector, beside the time step and sizes: the pooled output of OpenCLIP-bigG, in the first columns of a matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .family import Family
from .parts import Part
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

_POOLED, _POOLED_WIDTH = "label_emb.0.0.weight", 1280
_NOT_POOLED = frozenset({"SD1.x", "SD2.x"})
"""SD2.x unCLIP has the same matrix, and reads a picture there."""

_ROLES = {
    "attn2.to_k": Role.KEY, "attn2.to_v": Role.VALUE, "attn2.to_q": Role.QUERY, "attn2.to_out.0": Role.ANSWER,
    "ff.net.2": Role.FEED_FORWARD,
}  # fmt: skip
_OTHERS = (
    r"attn1\.to_[qkv]|attn1\.to_out\.0|ff\.net\.0\.proj|proj_in|proj_out|in_layers\.2|emb_layers\.1|out_layers\.3|"
    r"skip_connection|op|conv|input_blocks\.0\.0"
)
_LAYER = re.compile(rf"\.({'|'.join(map(re.escape, _ROLES))}|{_OTHERS})\.weight$")
_PLACE = re.compile(r"(input|middle|output)_block(?:s\.(\d+))?\.(\d+)\.(?:transformer_blocks\.(\d+)\.)?")


def roles(parameters: Iterable[str]) -> dict[str, Role]:
    """Roles of all matrices inside the blocks of the UNet, in the model's order.

    What embeds the time step and other vectors, and the last convolution, have none.
    """
    found = ((name, _LAYER.search(name)) for name in parameters)
    return {name: _ROLES.get(match[1], Role.OTHER) for name, match in found if match}


def place(name: str) -> tuple[str, str, Role] | None:
    """A projection's layer, its label, and its role: `input 4.1` is the second transformer of the fifth input block.

    `input 4` is what that block has beside them. The middle has one block, so that `middle 0` is its first transformer,
    and `middle part 0` its first residual block. None for another name.
    """
    if f".{_POOLED}" in name:
        return name, "pooled vector", Role.POOLED
    found, layer = _PLACE.search(name), _LAYER.search(name)
    if not found or not layer:
        return None
    side, block, part, transformer = found.groups()
    if transformer is None:
        label = f"{side} {block}" if block else f"{side} part {part}"
    else:
        label = f"{side} {block}.{transformer}" if block else f"{side} {transformer}"
    return name[: found.start()] + label, label, _ROLES.get(layer[1], Role.OTHER)


def roles_with_pooled(parameters: Iterable[str]) -> dict[str, Role]:
    """The same, and the columns that read the pooled vector."""
    names = tuple(parameters)
    pooled = (Part(name, columns=_POOLED_WIDTH).name for name in names if name.endswith(f".{_POOLED}"))
    return {**roles(names), **dict.fromkeys(pooled, Role.POOLED)}


def _family(title: str) -> Family:
    return Family(title, roles if title in _NOT_POOLED else roles_with_pooled, place, side=SIDES.get(title, 1024))


FAMILIES = {name: _family(title) for name, title in TITLES.items()}
