"""HunyuanVideo and HunyuanImage: a language model's states enter through one matrix, and their mean through another.

The mean goes beside the time step, and in the first of these models CLIP-L's pooled vector with it. A change of what
the matrices read of each token is the same change of what they read of the mean.
"""

from __future__ import annotations

from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

_MEAN = "txt_in.c_embedder.in_layer"
REFINER = {"txt_in.input_embedder": Role.INPUT, _MEAN: Role.INPUT}
LABELS = {_MEAN: "mean of the words"}
VIDEO = Inputs({**REFINER, "vector_in.in_layer": Role.POOLED}, labels=LABELS)
LATER = Inputs(REFINER, labels=LABELS)
TITLES = dict.fromkeys(("HunyuanVideo", "HunyuanVideoI2V", "HunyuanVideoSkyreelsI2V"), "HunyuanVideo")
LATER_TITLES = {
    "HunyuanVideo15": "HunyuanVideo 1.5", "HunyuanVideo15_SR_Distilled": "HunyuanVideo 1.5",
    "HunyuanImage21": "HunyuanImage 2.1",
}  # fmt: skip
LLAMA = TextEncoder(
    "Llava-Llama-3 and CLIP-L",
    frozenset({"llama"}),
    "Dual CLIP Loader with both and type hunyuan_video",
    files=Files.HOST,
)
QWEN_VL = TextEncoder(
    "Qwen2.5-VL",
    frozenset({"qwen25_7b"}),
    "Dual CLIP Loader with Qwen2.5-VL-7B, ByT5 and the type of this model (hunyuan_video_15 or hunyuan_image)",
    files=Files.HOST,
)
NOTE = "what stands in quotation marks in a prompt is also read letter by letter, which no edit touches"
FAMILIES = {
    **of_inputs(TITLES, VIDEO, LLAMA, leaks=True, side=512),
    **of_inputs(LATER_TITLES, LATER, QWEN_VL, note=NOTE),
}
