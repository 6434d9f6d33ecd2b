"""Cosmos 1, Cosmos Predict2 and Anima: cross-attention reads what the encoder gives directly, as in Stable Diffusion.

Anima's text goes through Qwen3, whose states a network in the model turns into states of T5's tokens.
"""

from __future__ import annotations

from .blocks import Blocks
from .family import Files, TextEncoder, of_blocks
from .roles import Role

TITLES = {"CosmosT2V": "Cosmos", "CosmosI2V": "Cosmos"}
BLOCKS = Blocks(
    r"blocks\.block(\d+)",
    {
        "blocks.1.block.attn.to_k.0": Role.KEY, "blocks.1.block.attn.to_v.0": Role.VALUE,
        "blocks.1.block.attn.to_q.0": Role.QUERY, "blocks.1.block.attn.to_out.0": Role.ANSWER,
        # Pictures of a batch are not apart in what enters its feed-forward layers, so they cannot be watched.
        "blocks.2.block.layer2": Role.OTHER, "blocks.2.block.layer1": Role.OTHER,
        "blocks.0.block.attn.to_q.0": Role.OTHER, "blocks.0.block.attn.to_k.0": Role.OTHER,
        "blocks.0.block.attn.to_v.0": Role.OTHER, "blocks.0.block.attn.to_out.0": Role.OTHER,
    },
)  # fmt: skip

PREDICT2_TITLES = {"CosmosT2IPredict2": "Cosmos Predict2", "CosmosI2VPredict2": "Cosmos Predict2"}
PREDICT2 = Blocks(
    r"blocks\.(\d+)",
    {
        "cross_attn.k_proj": Role.KEY, "cross_attn.v_proj": Role.VALUE, "cross_attn.q_proj": Role.QUERY,
        "cross_attn.output_proj": Role.ANSWER, "mlp.layer2": Role.FEED_FORWARD, "mlp.layer1": Role.OTHER,
        "self_attn.q_proj": Role.OTHER, "self_attn.k_proj": Role.OTHER, "self_attn.v_proj": Role.OTHER,
        "self_attn.output_proj": Role.OTHER,
    },
)  # fmt: skip
OLD_T5 = TextEncoder("the first T5-11B", frozenset({"t5xxl"}), "Load CLIP with oldt5_xxl and type cosmos", 0.0)
QWEN3 = TextEncoder("Qwen3-0.6B", frozenset({"qwen3_06b"}), "Load CLIP with Qwen3-0.6B, any type", files=Files.NETWORK)
FAMILIES = {
    **of_blocks(TITLES, BLOCKS, OLD_T5),
    **of_blocks(PREDICT2_TITLES, PREDICT2, OLD_T5),
    **of_blocks({"Anima": "Anima"}, PREDICT2, QWEN3, adapter="diffusion_model.llm_adapter"),
}
