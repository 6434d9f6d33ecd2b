"""Qwen-Image: a language model's states enter through a norm and one matrix."""

from __future__ import annotations

from .contexts import RootMeanSquare
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

QWEN_IMAGE = Inputs({"txt_in": Role.INPUT})
CONTEXT = RootMeanSquare("txt_norm", 1e-6)
QWEN_VL = TextEncoder(
    "Qwen2.5-VL", frozenset({"qwen25_7b"}), "Load CLIP with Qwen2.5-VL-7B and type qwen_image", files=Files.HOST
)
NOTE = "prompts that show the model pictures are read inside other words than names are here, and are reached less"
FAMILIES = of_inputs({"QwenImage": "Qwen-Image"}, QWEN_IMAGE, QWEN_VL, context=CONTEXT, note=NOTE)
