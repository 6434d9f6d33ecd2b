"""Flux 2 and Klein: three layers of a language model side by side enter through one matrix, and nothing else does."""

from __future__ import annotations

from .chat import qwen
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

FLUX2 = Inputs({"txt_in": Role.INPUT})
LANGUAGE_MODEL = TextEncoder(
    "Mistral 3 or Qwen3",
    frozenset({"mistral3_24b", "qwen3_4b", "qwen3_8b"}),
    "Load CLIP with the text encoder of this very model (Mistral 3 for dev, Qwen3 4B or 8B for Klein) and type flux2",
    files=Files.CHAT,
    chat=qwen(
        "Qwen3",
        answer="\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        layers=(9, 18, 27),
        framed=True,
        filled=True,
    ),
)
FAMILIES = of_inputs({"Flux2": "Flux 2"}, FLUX2, LANGUAGE_MODEL)
