"""HiDream-I1: T5's states enter through one matrix, and every block's own layer of Llama through one of its own.

The blocks from the 32nd on read the last layer. CLIP-L's and CLIP-G's pooled vectors enter beside the time step.
"""

from __future__ import annotations

import re

from .chat import Chat
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

_BLOCKS, _LAYERS = 48, 32
_CAPTION = "caption_projection.{}.linear"
_NUMBER = re.compile(r"caption_projection\.(\d+)\.")


def layer(name: str) -> int:
    """Which of Llama's layers the matrix of a block reads, from 0."""
    found = _NUMBER.search(name)
    return min(int(found[1]) if found else 0, _LAYERS - 1)


ROLES = {
    **{_CAPTION.format(block): Role.LAYER for block in range(_BLOCKS)},
    _CAPTION.format(_BLOCKS): Role.INPUT,
    "p_embedder.pooled_embedder.linear_1": Role.POOLED,
}
LABELS = {_CAPTION.format(block): f"block {block}" for block in range(_BLOCKS)}
INPUTS = Inputs(ROLES, labels={**LABELS, _CAPTION.format(_BLOCKS): "words of T5"})
ENCODERS = TextEncoder(
    "CLIP-L, CLIP-G, T5-XXL and Llama 3.1",
    frozenset({"t5xxl"}),
    "Load CLIP (Quadruple) with all four",
    behind=None,
    filled=128,
    files=Files.LAYERS,
    sentences="T5-XXL",
    masked=True,
    chat=Chat("Llama 3", last_normed=True, framed=True, filled=True, padding=128_009, start=(128_000,)),
    beside=frozenset({"llama"}),
)
FAMILIES = of_inputs({"HiDream": "HiDream"}, INPUTS, ENCODERS, leaks=True, layer=layer)
