"""Kandinsky 5: a language model's states enter through one matrix, and CLIP-L's pooled vector through another."""

from __future__ import annotations

from .chat import qwen
from .family import Files, TextEncoder
from .inputs import Inputs, of_inputs
from .roles import Role

KANDINSKY = Inputs({"text_embeddings.in_layer": Role.INPUT, "pooled_text_embeddings.in_layer": Role.POOLED})
_VIDEO = """You are a prompt engineer. Describe the video in detail.
Describe how the camera moves or shakes, describe the zoom and view angle, whether it follows the objects.
Describe the location of the video, main characters or objects and their action.
Describe the dynamism of the video and presented actions.
Name the visual style of the video: whether it is a professional footage, user generated content, some kind of \
animation, video game or screen content.
Describe the visual effects, postprocessing and transitions if they are presented in the video.
Pay attention to the order of key actions shown in the scene."""
_IMAGE = (
    "You are a promt engineer. Describe the image by detailing the color, shape, size, texture, quantity, text, "
    "spatial relationships of the objects and background:"
)


def _encoder(told: str, kind: str) -> TextEncoder:
    return TextEncoder(
        "Qwen2.5-VL and CLIP-L",
        frozenset({"qwen25_7b"}),
        f"Dual CLIP Loader with Qwen2.5-VL-7B, CLIP-L and type {kind}",
        files=Files.CHAT_WITH_VECTORS,
        chat=qwen(
            "Qwen2.5",
            told,
            "",
        ),
    )


FAMILIES = {
    **of_inputs({"Kandinsky5": "Kandinsky 5"}, KANDINSKY, _encoder(_VIDEO, "kandinsky5"), leaks=True),
    **of_inputs({"Kandinsky5Image": "Kandinsky 5 Image"}, KANDINSKY, _encoder(_IMAGE, "kandinsky5_image"), leaks=True),
}
