"""LTX-Video: cross-attention reads T5's states through a small network."""

from __future__ import annotations

from .blocks import Blocks
from .contexts import TwoLayers
from .family import TextEncoder, of_blocks
from .roles import Role

TITLES = {"LTXV": "LTXV"}
BLOCKS = Blocks(
    r"transformer_blocks\.(\d+)",
    {
        "attn2.to_k": Role.KEY, "attn2.to_v": Role.VALUE, "attn2.to_q": Role.QUERY, "attn2.to_out.0": Role.ANSWER,
        "ff.net.2": Role.FEED_FORWARD, "ff.net.0.proj": Role.OTHER, "attn1.to_q": Role.OTHER, "attn1.to_k": Role.OTHER,
        "attn1.to_v": Role.OTHER, "attn1.to_out.0": Role.OTHER,
    },
)  # fmt: skip
CONTEXT = TwoLayers("caption_projection.linear_1", "caption_projection.linear_2")
T5 = TextEncoder("T5-XXL", frozenset({"t5xxl"}), "Load CLIP with T5-XXL and type ltxv")
FAMILIES = of_blocks(TITLES, BLOCKS, T5, context=CONTEXT, side=512)
