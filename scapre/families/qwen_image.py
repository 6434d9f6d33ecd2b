"""Qwen-Image: a language model's states enter through a norm and one matrix."""

from __future__ import annotations

from .chat import qwen
from .contexts import RootMeanSquare
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

DESCRIBE = (
    "Describe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the "
    "objects and background:"
)
QWEN_IMAGE = Inputs({"txt_in": Role.INPUT})
CONTEXT = RootMeanSquare("txt_norm", 1e-6)
QWEN_VL = TextEncoder(
    "Qwen2.5-VL",
    frozenset({"qwen25_7b"}),
    "Load CLIP with Qwen2.5-VL-7B and type qwen_image",
    files=Files.CHAT,
    chat=qwen("Qwen2.5", DESCRIBE, normed=True),
)
NOTE = "prompts that show the model pictures are read inside other words than names are here, and are reached less"
FAMILIES = of_inputs({"QwenImage": "Qwen-Image"}, QWEN_IMAGE, QWEN_VL, context=CONTEXT, note=NOTE)
