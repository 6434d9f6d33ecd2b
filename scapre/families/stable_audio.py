"""Stable Audio Open: cross-attention with keys and values in one weight reads T5-base's states through a small network.

How many seconds to make stands behind the text as two more tokens, which no edit needs to know of.
"""

from __future__ import annotations

import torch.nn.functional as F

from .blocks import Blocks
from .contexts import TwoLayers
from .family import TextEncoder, of_blocks
from .roles import Role

TITLES = {"StableAudio": "Stable Audio"}
BLOCKS = Blocks(
    r"transformer\.layers\.(\d+)",
    {
        "cross_attn.to_kv": (Role.KEY, Role.VALUE), "cross_attn.to_q": Role.QUERY, "cross_attn.to_out": Role.ANSWER,
        "ff.ff.2": Role.FEED_FORWARD, "ff.ff.0.proj": Role.OTHER, "self_attn.to_qkv": Role.OTHER,
        "self_attn.to_out": Role.OTHER,
    },
)  # fmt: skip
CONTEXT = TwoLayers("to_cond_embed.0", "to_cond_embed.2", F.silu, biased=False)
T5 = TextEncoder(
    "T5-base",
    frozenset({"t5base"}),
    "the CLIP output of the checkpoint loader, or Load CLIP with type stable_audio",
    0.0,
)
FAMILIES = of_blocks(TITLES, BLOCKS, T5, context=CONTEXT)
