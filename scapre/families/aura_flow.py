"""AuraFlow: the text enters through one matrix, beside tokens that are the same for every prompt."""

from __future__ import annotations

from .family import TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

AURA = Inputs({"cond_seq_linear": Role.INPUT})
PILE_T5 = TextEncoder(
    "Pile-T5-XL",
    frozenset({"pile_t5xl"}),
    "the CLIP output of the checkpoint loader, or Load CLIP with Pile-T5-XL",
    behind=0.0,
    end=2,
    padding=1,
)
FAMILIES = of_inputs({"AuraFlow": "AuraFlow"}, AURA, PILE_T5)
