"""What LoRA files call a projection: one way of naming for each family, the one that most programs read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_MODEL = "diffusion_model."
_BLOCK = re.compile(r"(input_blocks|middle_block|output_blocks)(?:\.(\d+))?\.1\.(?=transformer_blocks|proj_|norm)")
_PART = re.compile(r"(input_blocks|middle_block|output_blocks)\.(?:(\d+)\.)?(\d+)(?:\.(.+))?")
_PARTS = {
    "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}  # fmt: skip
"""Of a residual block, with their names in diffusers."""
_PREFIX = "lora_unet_"

Naming = Callable[[Sequence[str]], Mapping[str, str]]


def by_blocks(names: Sequence[str]) -> Mapping[str, str]:
    """Names after diffusers' blocks, as kohya's tools write them for SD1.x and SD2.x.

    `input_blocks.4.1.….attn2.to_k` is `lora_unet_down_blocks_1_attentions_0_…_attn2_to_k`, and `input_blocks.4.0.
    in_layers.2` is `lora_unet_down_blocks_1_resnets_0_conv1`.

    Args:
        names: Parameter names of the projections in ComfyUI.

    Returns:
        The name in a LoRA file, without suffix, for each.
    """
    period = _period(names)
    return {name: _PREFIX + _renamed(_path(name), period).replace(".", "_") for name in names}


def by_path(names: Sequence[str]) -> Mapping[str, str]:
    """Names after the original layout, as kohya's tools write them for SDXL: `lora_unet_input_blocks_4_1_…`."""
    return {name: _PREFIX + _path(name).replace(".", "_") for name in names}


def by_module(names: Sequence[str]) -> Mapping[str, str]:
    """Names as ComfyUI's model has them, as LoRA files of transformers mostly do: `diffusion_model.blocks.0.….v`."""
    return {name: name.removesuffix(".weight") for name in names}


def by_diffusers(renamed: Mapping[str, str]) -> Naming:
    """Names of diffusers' transformers, `transformer.context_embedder`: ComfyUI reads them, too.

    kohya's spelling of these layers is no way to diffusers: it is converted to names that are then left out there.

    Args:
        renamed: What diffusers calls a layer, by a pattern of its name in ComfyUI.
    """
    patterns = {re.compile(pattern): to for pattern, to in renamed.items()}

    def naming(names: Sequence[str]) -> Mapping[str, str]:
        return {name: f"transformer.{_first(patterns, _path(name))}" for name in names}

    return naming


def _first(patterns: Mapping[re.Pattern[str], str], path: str) -> str:
    return next((found.expand(to) for pattern, to in patterns.items() if (found := pattern.fullmatch(path))), path)


def _path(name: str) -> str:
    return name.removeprefix(_MODEL).removesuffix(".weight")


def _renamed(path: str, period: int) -> str:
    if _BLOCK.search(path):
        return _BLOCK.sub(lambda m: _diffusers(m, period), path)
    found = _PART.fullmatch(path)
    return _outside(period, *found.groups("")) if found else path


def _outside(period: int, side: str, block: str, part: str, rest: str) -> str:
    """What is in a block beside its transformer: a residual block, or what changes the size of the picture."""
    if not block:
        return f"mid_block.resnets.{int(part) // 2}.{_PARTS.get(rest, rest)}"
    number = int(block)
    if side == "output_blocks":
        level, place = divmod(number, period)
        if rest == "conv":
            return f"up_blocks.{level}.upsamplers.0.conv"
        return f"up_blocks.{level}.resnets.{place}.{_PARTS.get(rest, rest)}"
    if number == 0:
        return "conv_in"
    level, place = divmod(number - 1, period)
    if rest == "op":
        return f"down_blocks.{level}.downsamplers.0.conv"
    return f"down_blocks.{level}.resnets.{place}.{_PARTS.get(rest, rest)}"


def _period(names: Iterable[str]) -> int:
    """Blocks a level on the way in: those with a number divisible by it halve the picture and have no attention.

    It is 3 in every released model; the names alone show it, since block 0 is the first convolution.
    """
    found = (_BLOCK.search(name) for name in names)
    inputs = {int(match[2]) for match in found if match and match[1] == "input_blocks"}
    return next(period for period in range(2, max(inputs, default=1) + 2) if not any(i % period == 0 for i in inputs))


def _diffusers(block: re.Match[str], period: int) -> str:
    if block[1] == "middle_block":
        return "mid_block.attentions.0."
    number = int(block[2])
    if block[1] == "output_blocks":
        return f"up_blocks.{number // period}.attentions.{number % period}."
    return f"down_blocks.{(number - 1) // period}.attentions.{(number - 1) % period}."


KOHYA = {"lora_down.weight": "lora_down.weight", "lora_up.weight": "lora_up.weight", "alpha": "alpha"}
PEFT = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}
"""What kohya's tools and PEFT call the parts of a LoRA. diffusers takes kohya's names for Wan only where every layer of
the model is in the file, and for LTXV not at all."""


@dataclass(frozen=True)
class Labels:
    """How LoRA files of one family are marked.

    Attributes:
        naming: Gives the names of the projections.
        base: `ss_base_model_version`, after kohya's sd-scripts.
        architecture: `modelspec.architecture`, after Stability's model metadata standard.
        implementation: `modelspec.implementation`: whose names the file uses.
        parts: What the file calls the factors, and alpha if it has one; it is the rank, and changes nothing.
    """

    naming: Naming
    base: str
    architecture: str
    implementation: str
    parts: Mapping[str, str] = field(default_factory=lambda: KOHYA)


_VECTOR = "time_text_embed.text_embedder.linear_1"
_FLUX = by_diffusers({
    r"txt_in": "context_embedder", r"vector_in\.in_layer": _VECTOR,
    r"double_blocks\.(\d+)\.img_mlp\.2": r"transformer_blocks.\1.ff.net.2",
    r"double_blocks\.(\d+)\.txt_mlp\.2": r"transformer_blocks.\1.ff_context.net.2",
})  # fmt: skip
_SD3 = by_diffusers({
    r"y_embedder\.mlp\.0": _VECTOR,
    r"joint_blocks\.(\d+)\.x_block\.mlp\.fc2": r"transformer_blocks.\1.ff.net.2",
    r"joint_blocks\.(\d+)\.context_block\.mlp\.fc2": r"transformer_blocks.\1.ff_context.net.2",
})  # fmt: skip


def _transformer(base: str, implementation: str, naming: Naming = by_module) -> Labels:
    return Labels(naming, base, f"{base}/lora", implementation, PEFT)


_SGM = "https://github.com/Stability-AI/generative-models"
_SDXL = Labels(by_path, "sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora", _SGM)


_TENCENT = "https://github.com/Tencent-Hunyuan/"
_COSMOS = "https://github.com/nvidia-cosmos"

# By the family's title.
LABELS: Mapping[str, Labels] = {
    "PixArt Alpha": _transformer("pixart-alpha", "https://github.com/PixArt-alpha/PixArt-alpha"),
    "PixArt Sigma": _transformer("pixart-sigma", "https://github.com/PixArt-alpha/PixArt-sigma"),
    "HunyuanDiT": _transformer("hunyuan-dit", _TENCENT + "HunyuanDiT"),
    "SD3": _transformer("stable-diffusion-3", "diffusers", _SD3),
    "Wan": _transformer("wan", "https://github.com/Wan-Video"),
    "LTXV": _transformer("ltxv", "https://github.com/Lightricks/LTX-Video"),
    "Cosmos": _transformer("cosmos", _COSMOS),
    "Cosmos Predict2": _transformer("cosmos-predict2", _COSMOS),
    "Anima": _transformer("anima", "https://huggingface.co/circlestone-labs/Anima"),
    "ACE-Step": _transformer("ace-step", "https://github.com/ace-step/ACE-Step"),
    "Stable Audio": _transformer("stable-audio", "https://github.com/Stability-AI/stable-audio-tools"),
    "Stable Cascade C": _transformer("stable-cascade-c", "https://github.com/Stability-AI/StableCascade"),
    "Stable Cascade B": _transformer("stable-cascade-b", "https://github.com/Stability-AI/StableCascade"),
    "Flux": _transformer("flux-1-dev", "diffusers", _FLUX),
    "Chroma": _transformer("chroma", "diffusers", _FLUX),
    "Chroma Radiance": _transformer("chroma-radiance", "diffusers", _FLUX),
    "Flux 2": _transformer("flux-2-dev", "https://github.com/black-forest-labs/flux2"),
    "Qwen-Image": _transformer("qwen-image", "https://github.com/QwenLM/Qwen-Image"),
    "Z-Image": _transformer("z-image", "https://github.com/Tongyi-MAI/Z-Image"),
    "Lumina 2": _transformer("lumina-2", "https://github.com/Alpha-VLLM/Lumina-Image-2.0"),
    "OmniGen2": _transformer("omnigen2", "https://github.com/VectorSpaceLab/OmniGen2"),
    "HunyuanVideo": _transformer("hunyuan-video", _TENCENT + "HunyuanVideo"),
    "HunyuanVideo 1.5": _transformer("hunyuan-video-1.5", _TENCENT + "HunyuanVideo-1.5"),
    "HunyuanImage 2.1": _transformer("hunyuan-image-2.1", _TENCENT + "HunyuanImage-2.1"),
    "Kandinsky 5 Image": _transformer("kandinsky-5-image", "https://github.com/kandinskylab/kandinsky-5"),
    "Kandinsky 5": _transformer("kandinsky-5", "https://github.com/kandinskylab/kandinsky-5"),
    "AuraFlow": _transformer("auraflow", "https://huggingface.co/fal/AuraFlow"),
    "Mochi": _transformer("mochi", "https://github.com/genmoai/mochi"),
    "HiDream": _transformer("hidream-i1", "https://github.com/HiDream-ai/HiDream-I1"),
    "SD1.x": Labels(by_blocks, "sd_v1", "stable-diffusion-v1/lora", "diffusers"),
    "SD2.x": Labels(by_blocks, "sd_v2", "stable-diffusion-v2-512/lora", "diffusers"),
    "SDXL refiner": Labels(by_path, "sdxl_refiner_v1-0", "stable-diffusion-xl-v1-refiner/lora", _SGM),
    **dict.fromkeys(("SDXL", "SSD-1B", "Segmind Vega", "KOALA"), _SDXL),
}
