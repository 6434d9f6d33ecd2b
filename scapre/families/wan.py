"""Wan 2.1 and 2.2 and what is built on them: cross-attention reads UMT5's states through a small network.

What reads pictures or sound beside the text (`k_img`, `v_img`, audio injectors) has no role.
"""

from __future__ import annotations

from .blocks import Blocks
from .contexts import TwoLayers
from .family import TextEncoder, of_blocks
from .roles import Role

TITLES = dict.fromkeys(
    (
        "WAN21_T2V", "WAN21_I2V", "WAN21_CausalAR_T2V", "WAN21_FlowRVS", "WAN21_FunControl2V", "WAN21_Camera",
        "WAN21_Vace", "WAN21_HuMo", "WAN21_SCAIL", "WAN21_SCAIL2", "WAN22_T2V", "WAN22_Camera", "WAN22_S2V",
        "WAN22_Animate", "WAN22_WanDancer",
    ),
    "Wan",
)  # fmt: skip
BLOCKS = Blocks(
    r"(?:(vace)_)?blocks\.(\d+)",
    {
        "cross_attn.k": Role.KEY, "cross_attn.v": Role.VALUE, "cross_attn.q": Role.QUERY, "cross_attn.o": Role.ANSWER,
        "ffn.2": Role.FEED_FORWARD, "ffn.0": Role.OTHER, "self_attn.q": Role.OTHER, "self_attn.k": Role.OTHER,
        "self_attn.v": Role.OTHER, "self_attn.o": Role.OTHER, "before_proj": Role.OTHER, "after_proj": Role.OTHER,
    },
)  # fmt: skip
CONTEXT = TwoLayers("text_embedding.0", "text_embedding.2")
UMT5 = TextEncoder("UMT5-XXL", frozenset({"umt5xxl"}), "Load CLIP with UMT5-XXL and type wan", 0.0, True)
FAMILIES = of_blocks(TITLES, BLOCKS, UMT5, context=CONTEXT, side=480)
