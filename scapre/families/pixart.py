"""PixArt: cross-attention with keys and values in one weight, which reads T5's states through a small network."""

from __future__ import annotations

from .blocks import Blocks
from .contexts import TwoLayers
from .family import TextEncoder, of_blocks
from .roles import Role

TITLES = {"PixArtAlpha": "PixArt Alpha", "PixArtSigma": "PixArt Sigma"}
BLOCKS = Blocks(
    r"blocks\.(\d+)",
    {
        "cross_attn.kv_linear": (Role.KEY, Role.VALUE), "cross_attn.q_linear": Role.QUERY,
        "cross_attn.proj": Role.ANSWER, "mlp.fc2": Role.FEED_FORWARD, "mlp.fc1": Role.OTHER,
        "attn.qkv": Role.OTHER, "attn.proj": Role.OTHER,
    },
)  # fmt: skip
CONTEXT = TwoLayers("y_embedder.y_proj.fc1", "y_embedder.y_proj.fc2")
T5 = TextEncoder("T5-XXL", frozenset({"t5xxl"}), "Load CLIP with T5-XXL and type pixart")
FAMILIES = of_blocks(TITLES, BLOCKS, T5, context=CONTEXT)
