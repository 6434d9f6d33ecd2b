"""Stable Cascade: the text enters stage C as words and as a pooled vector, and stage B as the vector alone.

Stage C maps the states of the words to one width, and the vector to four more tokens beside them; all its attentions
read both. So the first matrix of each way is edited, and what stands behind them is reached by no other text.
"""

from __future__ import annotations

from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

C = Inputs({"clip_txt_mapper": Role.INPUT, "clip_txt_pooled_mapper": Role.POOLED})
B = Inputs({"clip_mapper": Role.VALUE})
CLIP_G = TextEncoder(
    "CLIP-G",
    frozenset({"g"}),
    "the CLIP output of the loader of stage C's checkpoint, or Load CLIP with type stable_cascade",
    files=Files.CLIP,
)
FAMILIES = {
    **of_inputs({"Stable_Cascade_C": "Stable Cascade C"}, C, CLIP_G, leaks=True),
    **of_inputs({"Stable_Cascade_B": "Stable Cascade B"}, B, CLIP_G, of_vectors=True),
}
