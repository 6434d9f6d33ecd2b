"""HunyuanVideo and HunyuanImage: a language model's states enter through one matrix, and their mean through another.

The mean goes beside the time step, and in the first of these models CLIP-L's pooled vector with it. A change of what
the matrices read of each token is the same change of what they read of the mean.
"""

from __future__ import annotations

from .chat import Chat, qwen
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .qwen_image import DESCRIBE
from .roles import Role

_MEAN = "txt_in.c_embedder.in_layer"
REFINER = {"txt_in.input_embedder": Role.INPUT, _MEAN: Role.INPUT}
LABELS = {_MEAN: "mean of the words"}
VIDEO = Inputs({**REFINER, "vector_in.in_layer": Role.POOLED}, labels=LABELS)
LATER = Inputs(REFINER, labels=LABELS)
TITLES = dict.fromkeys(("HunyuanVideo", "HunyuanVideoI2V", "HunyuanVideoSkyreelsI2V"), "HunyuanVideo")
LATER_TITLES = dict.fromkeys(("HunyuanVideo15", "HunyuanVideo15_SR_Distilled"), "HunyuanVideo 1.5")
_HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
_TOLD = (
    "Describe the video by detailing the following aspects: 1. The main content and theme of the video.2. The color, "
    "shape, size, texture, quantity, text, and spatial relationships of the objects.3. Actions, events, behaviors "
    "temporal relationships, physical movement changes of the objects.4. background environment, light, style and "
    "atmosphere.5. camera angles, movements, and transitions used in the video:"
)
_TOLD_LATER = """You are a helpful assistant. Describe the video by detailing the following aspects:
1. The main content and theme of the video.
2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects.
3. Actions, events, behaviors temporal relationships, physical movement changes of the objects.
4. background environment, light, style and atmosphere.
5. camera angles, movements, and transitions used in the video."""
LLAMA = TextEncoder(
    "Llava-Llama-3 and CLIP-L",
    frozenset({"llama"}),
    "Dual CLIP Loader with both and type hunyuan_video",
    files=Files.CHAT_WITH_VECTORS,
    chat=Chat(
        "Llama 3",
        f"{_HEADER.format('system')}{_TOLD}<|eot_id|>{_HEADER.format('user')}",
        "<|eot_id|>",
        layers=(-2,),
        start=(128_000,),
        opens=128_007,  # as some versions of the library for vocabularies leave the empty lines behind it out
    ),
)


def _qwen(kind: str, chat: Chat) -> TextEncoder:
    loader = f"Dual CLIP Loader with Qwen2.5-VL-7B, ByT5 and type {kind}"
    return TextEncoder("Qwen2.5-VL", frozenset({"qwen25_7b"}), loader, files=Files.CHAT, chat=chat)


QWEN_OF_VIDEO = _qwen("hunyuan_video_15", qwen("Qwen2.5", _TOLD_LATER, layers=(-2,), empty=" "))
QWEN_OF_IMAGE = _qwen("hunyuan_image", qwen("Qwen2.5", DESCRIBE, "", layers=(-2,)))
NOTE = "what stands in quotation marks in a prompt is also read letter by letter, which no edit touches"
FAMILIES = {
    **of_inputs(TITLES, VIDEO, LLAMA, leaks=True, side=512),
    **of_inputs(LATER_TITLES, LATER, QWEN_OF_VIDEO, note=NOTE),
    **of_inputs({"HunyuanImage21": "HunyuanImage 2.1"}, LATER, QWEN_OF_IMAGE, note=NOTE),
}
