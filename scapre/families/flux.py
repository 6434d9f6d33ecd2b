"""Flux and Chroma: the text enters through one matrix, and in Flux also as CLIP-L's pooled vector.

Which of Flux's classes a checkpoint is (dev, schnell, Fill, Kontext and the like) makes no difference to its text.
"""

from __future__ import annotations

from .blocks import Blocks
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

TITLES = {"Flux": "Flux", "FluxInpaint": "Flux", "FluxSchnell": "Flux"}
CHROMA_TITLES = {"Chroma": "Chroma", "ChromaRadiance": "Chroma Radiance"}
BLOCKS = Blocks(r"double_blocks\.(\d+)", {"img_mlp.2": Role.FEED_FORWARD, "txt_mlp.2": Role.FEED_FORWARD})
FLUX = Inputs({"txt_in": Role.INPUT, "vector_in.in_layer": Role.POOLED}, BLOCKS)
CHROMA = Inputs({"txt_in": Role.INPUT}, BLOCKS)
T5_AND_CLIP = TextEncoder(
    "T5-XXL and CLIP-L",
    frozenset({"t5xxl", "l"}),
    "Dual CLIP Loader with T5-XXL, CLIP-L and type flux",
    behind=None,
    filled=256,
    files=Files.T5_WITH_VECTORS,
    sentences="T5-XXL",
)
T5 = TextEncoder("T5-XXL", frozenset({"t5xxl"}), "Load CLIP with T5-XXL and type chroma")
FAMILIES = {
    **of_inputs(TITLES, FLUX, T5_AND_CLIP, leaks=True),
    **of_inputs(CHROMA_TITLES, CHROMA, T5),
}
