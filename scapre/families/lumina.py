"""Lumina 2 and Z-Image: a language model's states enter through a norm and one matrix.

All that comes behind is shared with the picture (single-stream): to change it by role would change everything drawn.
"""

from __future__ import annotations

from .chat import Chat, qwen
from .contexts import RootMeanSquare
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

CAPTION = Inputs({"cap_embedder.1": Role.INPUT})
CONTEXT = RootMeanSquare("cap_embedder.0", 1e-5)
QWEN3 = TextEncoder(
    "Qwen3-4B",
    frozenset({"qwen3_4b"}),
    "Load CLIP with Qwen3-4B and type lumina2",
    files=Files.CHAT,
    chat=qwen("Qwen3", layers=(-1,), framed=True),
)
GEMMA2 = TextEncoder(
    "Gemma 2 2B",
    frozenset({"gemma2_2b"}),
    "the CLIP output of the checkpoint loader, or Load CLIP with Gemma 2 2B and type lumina2",
    files=Files.CHAT,
    chat=Chat("Gemma 2", layers=(-1,), framed=True, start=(2,)),
)
NOTE = "names are read here without a system prompt; one before your prompts changes their states a little"
FAMILIES = {
    **of_inputs({"ZImage": "Z-Image", "ZImagePixelSpace": "Z-Image"}, CAPTION, QWEN3, context=CONTEXT),
    **of_inputs({"Lumina2": "Lumina 2"}, CAPTION, GEMMA2, context=CONTEXT, note=NOTE),
}
