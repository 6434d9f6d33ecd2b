"""HunyuanDiT: cross-attention with keys and values in one weight, which reads the states of a BERT and of mT5.

Those of mT5 go through a small network. Where either text has no tokens, the model reads rows that it has learned.
"""

from __future__ import annotations

import torch.nn.functional as F

from .blocks import Blocks
from .contexts import TwoLayers
from .family import Files, TextEncoder, of_blocks
from .roles import Role

TITLES = dict.fromkeys(("HunyuanDiT", "HunyuanDiT1"), "HunyuanDiT")
BLOCKS = Blocks(
    r"blocks\.(\d+)",
    {
        "attn2.kv_proj": (Role.KEY, Role.VALUE), "attn2.q_proj": Role.QUERY, "attn2.out_proj": Role.ANSWER,
        "mlp.fc2": Role.FEED_FORWARD, "mlp.fc1": Role.OTHER, "attn1.Wqkv": Role.OTHER, "attn1.out_proj": Role.OTHER,
    },
)  # fmt: skip
ENCODERS = TextEncoder(
    "a BERT and mT5-XL",
    frozenset({"hydit_clip", "mt5xl"}),
    "the CLIP output of the same checkpoint loader",
    files=Files.BERT_AND_T5,
)
FAMILIES = of_blocks(
    TITLES,
    BLOCKS,
    ENCODERS,
    second=TwoLayers("mlp_t5.0", "mlp_t5.2", F.silu),
    padding="text_embedding_padding",
    note="the mean of what mT5 says also enters beside the time step, which no edit touches",
)
