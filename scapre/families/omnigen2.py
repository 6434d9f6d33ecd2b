"""OmniGen2: a language model's states enter through a norm and one matrix."""

from __future__ import annotations

from .chat import qwen
from .contexts import RootMeanSquare
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

_CAPTION = "time_caption_embed.caption_embedder"
_TOLD = "You are a helpful assistant that generates high-quality images based on user instructions."
CAPTION = Inputs({f"{_CAPTION}.1": Role.INPUT})
QWEN_VL = TextEncoder(
    "Qwen2.5-VL-3B",
    frozenset({"qwen25_3b"}),
    "Load CLIP with Qwen2.5-VL-3B and type omnigen2",
    files=Files.CHAT,
    chat=qwen("Qwen2.5", _TOLD, "\n", normed=True, framed=True),
)
FAMILIES = of_inputs({"Omnigen2": "OmniGen2"}, CAPTION, QWEN_VL, context=RootMeanSquare(f"{_CAPTION}.0", 1e-5))
