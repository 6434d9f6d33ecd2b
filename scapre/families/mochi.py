"""Genmo Mochi: the text enters through one matrix, and pooled by attention through two more, beside the time step.

Mochi pools T5's states with a small attention of its own, whose query is their mean. All three matrices read the states
as they are, or their mean, so one change of what they read suits all.
"""

from __future__ import annotations

from .family import TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

_POOLING = ("t5_y_embedder.to_q", "t5_y_embedder.to_kv")
MOCHI = Inputs(
    {"t5_yproj": Role.INPUT, **dict.fromkeys(_POOLING, Role.INPUT)}, labels=dict.fromkeys(_POOLING, "pooling")
)
T5 = TextEncoder("T5-XXL", frozenset({"t5xxl"}), "Load CLIP with T5-XXL and type mochi")
FAMILIES = of_inputs({"GenmoMochi": "Mochi"}, MOCHI, T5, side=480)
