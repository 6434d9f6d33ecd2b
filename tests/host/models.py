"""Tiny models and text encoders of ComfyUI's own classes: only their sizes are small, and their weights are noise.

Tokenizers, patching, loading and the forward pass are the host's. Nothing is read from or written to a disk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.sd
import comfy.supported_models as supported
import comfy.text_encoders.sd2_clip as open_clip
import torch
from comfy import sd1_clip, sdxl_clip
from comfy.model_patcher import ModelPatcher
from comfy.supported_models_base import ClipTarget
from torch import Tensor

from pack.nodes.host.progress import HostProgress
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder
from pack.scapre.concepts.concepts import parse_concepts, parse_preserve
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.methods.scapre.settings import PRESETS
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit

CPU = torch.device("cpu")
# Width of each CLIP tower, by the letter ComfyUI calls it.
TOWERS = {"l": 24, "h": 32, "g": 40}


@dataclass(frozen=True)
class Kind:
    """A family of models: its class, the encoder that belongs to it, and the size of its pooled vector."""

    model: type
    tokenizer: type
    encoder: type
    towers: str
    vector: int | None = None

    @property
    def width(self) -> int:
        """Width of a text state."""
        return sum(TOWERS[tower] for tower in self.towers)


KINDS = {
    "sd15": Kind(supported.SD15, sd1_clip.SD1Tokenizer, sd1_clip.SD1ClipModel, "l"),
    "sd20": Kind(supported.SD20, open_clip.SD2Tokenizer, open_clip.SD2ClipModel, "h"),
    "sdxl": Kind(supported.SDXL, sdxl_clip.SDXLTokenizer, sdxl_clip.SDXLClipModel, "lg", vector=16),
    "refiner": Kind(supported.SDXLRefiner, sdxl_clip.SDXLTokenizer, sdxl_clip.SDXLRefinerClipModel, "g", vector=16),
}


def unet_settings(**changes: Any) -> dict[str, Any]:
    """What the detection would say of a UNet with two levels and a transformer in every block."""
    settings: dict[str, Any] = {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "channel_mult": [1, 2],
        "num_res_blocks": [1, 1], "transformer_depth": [1, 1], "transformer_depth_middle": 1,
        "transformer_depth_output": [1, 1, 1, 1], "use_spatial_transformer": True, "legacy": False,
        "use_checkpoint": False, "use_linear_in_transformer": False, "use_temporal_attention": False,
        "use_temporal_resblock": False, "adm_in_channels": None, "context_dim": 24,
    }  # fmt: skip
    return settings | changes


def unet(kind: str = "sd15", *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> ModelPatcher:
    """A tiny diffusion model of one family, stored in `dtype`."""
    family = KINDS[kind]
    settings = unet_settings(context_dim=family.width, use_linear_in_transformer=kind != "sd15")
    if family.vector:
        settings |= {"adm_in_channels": family.vector, "num_classes": "sequential"}
    config = family.model(settings | changes)
    config.unet_config |= {"num_heads": -1, "num_head_channels": 8}  # the family's own are too large for 32 channels
    config.set_inference_dtype(dtype, None if dtype == torch.float32 else torch.float32)
    return patcher(fill(config.get_model({}, "", device=CPU), seed))


def patcher(model: torch.nn.Module) -> ModelPatcher:
    """The MODEL that a loader would hand over."""
    return ModelPatcher(model, CPU, CPU)


def fill(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Writes seeded weights: the host's layers never initialise theirs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                if parameter.ndim > 1:
                    noise = torch.randn(parameter.shape, generator=generator)
                    parameter.copy_(noise / math.sqrt(math.prod(parameter.shape[1:])))
                else:
                    parameter.fill_(float(name == "weight"))  # a norm scales by one, a bias is zero
    return model


def text_encoder(
    kind: str = "sd15", *, seed: int = 0, embeddings: Path | None = None, towers: Mapping[str, int] = TOWERS
) -> comfy.sd.CLIP:
    """A tiny CLIP of one family with the real tokenizer; `embeddings` is a folder of textual inversions."""
    family = KINDS[kind]
    shapes = {
        f"clip_{tower}_model_config": {
            "hidden_size": width, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 2 * width,
        }
        for tower, width in towers.items()
    }  # fmt: skip
    clip = comfy.sd.CLIP(
        ClipTarget(family.tokenizer, family.encoder),
        embedding_directory=None if embeddings is None else str(embeddings),
        model_options={**shapes, "dtype": torch.float32},
    )
    fill(clip.cond_stage_model, seed)
    return clip


@contextmanager
def loaded(model: ModelPatcher, *, lowvram: bool = False) -> Iterator[torch.nn.Module]:
    """The model as it is while sampling: patched in place, or patched at each forward when memory is short."""
    if lowvram:
        model.patch_model(CPU, lowvram_model_memory=1)
    else:
        management.load_models_gpu([model])
    try:
        yield model.model
    finally:
        if lowvram:
            model.unpatch_model(CPU)
        management.unload_all_models()


def answer(model: ModelPatcher, context: Tensor | None = None) -> Tensor:
    """One forward pass on a fixed noise image; the same weights give the same bits."""
    network = model.model
    generator = torch.Generator().manual_seed(99)
    settings = network.model_config.unet_config
    image = torch.randn(1, settings["in_channels"], 8, 8, generator=generator)
    states = torch.randn(1, 77, settings["context_dim"], generator=generator)
    extra = {"y": torch.randn(1, network.adm_channels, generator=generator)} if network.adm_channels else {}
    with loaded(model), torch.inference_mode():
        return network.apply_model(image, torch.ones(1), c_crossattn=states if context is None else context, **extra)


def projection(network: torch.nn.Module, name: str) -> Tensor:
    """The weight that a loaded model computes with, (n, d), read from its answers to the unit vectors."""
    layer = network.get_submodule(name.removesuffix(".weight"))
    with torch.inference_mode():
        return layer(torch.eye(layer.in_features)).T.clone()


def projections(model: ModelPatcher) -> dict[str, Tensor]:
    """Keys and values of all cross-attentions as stored now, without patches."""
    layers = dict(model.model.named_modules())
    found = {
        f"{name}.{part}": layers[f"{name}.{part}"]
        for name in layers
        if name.endswith("attn2")
        for part in ("to_k", "to_v")
    }
    return {f"{name}.weight": layer.weight.detach().clone() for name, layer in found.items()}


def snapshot(model: ModelPatcher) -> dict[str, Tensor]:
    """A copy of every stored weight."""
    return {name: value.clone() for name, value in model.model.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """Whether two state dicts hold the same bits."""
    return left.keys() == right.keys() and all(
        value.dtype == right[name].dtype and torch.equal(bits(value), bits(right[name])) for name, value in left.items()
    )


def untouched(model: ModelPatcher, weights: dict[str, Tensor], patches: dict[str, list[Any]]) -> bool:
    """Whether a model still has these stored weights and patches."""
    return same(snapshot(model), weights) and patches == {key: list(value) for key, value in model.patches.items()}


def bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, so that NaN equals NaN and -0 differs from 0."""
    return tensor.contiguous().view(torch.uint8) if tensor.ndim else tensor.reshape(1).view(torch.uint8)


def lora(model: ModelPatcher, *, seed: int, rank: int = 2) -> dict[str, Tensor]:
    """A LoRA file's content for all keys and values, alpha half the rank."""
    generator = torch.Generator().manual_seed(seed)
    content: dict[str, Tensor] = {}
    for name, weight in projections(model).items():
        rows, columns = weight.shape
        path = name.removesuffix(".weight")
        content[f"{path}.lora_up.weight"] = torch.randn(rows, rank, generator=generator) / math.sqrt(rank)
        content[f"{path}.lora_down.weight"] = torch.randn(rank, columns, generator=generator) / math.sqrt(columns)
        content[f"{path}.alpha"] = torch.tensor(rank / 2)
    return content


def with_lora(model: ModelPatcher, content: dict[str, Tensor], strength: float) -> ModelPatcher:
    """What LoraLoaderModelOnly returns."""
    return comfy.sd.load_lora_for_models(model, None, dict(content), strength, 0)[0]


def lora_delta(content: dict[str, Tensor], name: str, strength: float) -> Tensor:
    """strength · alpha / rank · up · down, in float64."""
    path = name.removesuffix(".weight")
    up, down = content[f"{path}.lora_up.weight"].double(), content[f"{path}.lora_down.weight"].double()
    return strength * content[f"{path}.alpha"].item() / len(down) * (up @ down)


def solve(
    model: ModelPatcher,
    clip: comfy.sd.CLIP,
    concepts: str = "cat\nVincent van Gogh -> art",
    preset: str = "objects-few",
) -> Edit:
    """An edit of a model, solved as the node does it."""
    parsed = parse_concepts(concepts)
    request = Request(parsed, parse_preserve("tulip", parsed.concepts), PRESETS[preset].settings)
    progress = HostProgress(None)
    states, seconds = encode_request(ClipEncoder(clip), request, progress)
    return solve_edit(states, HostProjections(model), request, progress=progress, encode_seconds=seconds)


def tensors(edit: Edit) -> dict[str, Tensor]:
    """All tensors of an edit by name."""
    rows = {f"{name} {key}": value for name, held in edit.payload.matrices.items() for key, value in held.items()}
    return {**{f"shared {key}": value for key, value in edit.payload.shared.items()}, **rows}
