"""Stable Diffusion 3 and 3.5: what CLIP and T5 say of a prompt stands side by side, and enters through one matrix.

The states of CLIP-L and CLIP-G are joined and filled with zeros to the width of T5's. Their pooled vectors enter beside
the time step.
"""

from __future__ import annotations

from .blocks import Blocks
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

BLOCKS = Blocks(
    r"joint_blocks\.(\d+)", {"x_block.mlp.fc2": Role.FEED_FORWARD, "context_block.mlp.fc2": Role.FEED_FORWARD}
)
SD3 = Inputs({"context_embedder": Role.INPUT, "y_embedder.mlp.0": Role.POOLED}, BLOCKS)
ENCODERS = TextEncoder(
    "CLIP-L, CLIP-G and T5-XXL",
    frozenset({"g"}),
    "the CLIP output of the same checkpoint loader, or Load CLIP (Triple) with all three",
    behind=None,
    filled=77,
    files=Files.CLIP_AND_T5,
    sentences="T5-XXL",
)
FAMILIES = of_inputs({"SD3": "SD3"}, SD3, ENCODERS, leaks=True)
