"""ACE-Step 1: cross-attention reads a linear layer of UMT5's states of the tags, beside the lyrics, which stay."""

from __future__ import annotations

from .blocks import Blocks
from .contexts import OneLayer
from .family import TextEncoder, of_blocks
from .roles import Role

TITLES = {"ACEStep": "ACE-Step"}
BLOCKS = Blocks(
    r"transformer_blocks\.(\d+)",
    {
        "cross_attn.to_k": Role.KEY, "cross_attn.to_v": Role.VALUE, "cross_attn.to_q": Role.QUERY,
        "cross_attn.to_out.0": Role.ANSWER, "attn.to_q": Role.OTHER, "attn.to_k": Role.OTHER, "attn.to_v": Role.OTHER,
        "attn.to_out.0": Role.OTHER,
    },
)  # fmt: skip
CONTEXT = OneLayer("genre_embedder")
UMT5 = TextEncoder("UMT5-base", frozenset({"umt5base"}), "the CLIP output of the checkpoint loader", by_layer=True)
NOTE = "names are erased from the tags; lyrics are read by another way, which no edit touches"
FAMILIES = of_blocks(TITLES, BLOCKS, UMT5, context=CONTEXT, note=NOTE)
