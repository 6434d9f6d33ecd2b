"""Kandinsky 5: a language model's states enter through one matrix, and CLIP-L's pooled vector through another."""

from __future__ import annotations

from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

KANDINSKY = Inputs({"text_embeddings.in_layer": Role.INPUT, "pooled_text_embeddings.in_layer": Role.POOLED})
QWEN_AND_CLIP = TextEncoder(
    "Qwen2.5-VL and CLIP-L",
    frozenset({"qwen25_7b"}),
    "Dual CLIP Loader with Qwen2.5-VL-7B, CLIP-L and type kandinsky5 or kandinsky5_image",
    files=Files.HOST,
)
FAMILIES = of_inputs(
    {"Kandinsky5": "Kandinsky 5", "Kandinsky5Image": "Kandinsky 5"}, KANDINSKY, QWEN_AND_CLIP, leaks=True
)
