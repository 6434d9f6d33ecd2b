"""LoRA files of Flux and SD3 in diffusers' hands: the first matrices that read a prompt, and feed-forward layers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.export import FORMATS, Options, Rank
from pack.scapre.export.names import LABELS
from pack.scapre.families import Role
from pack.scapre.methods import METHODS
from pack.scapre.progress import silent
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.tests.export.test_lora_elsewhere import diffusers  # noqa: F401  # the library, cut off from the network
from pack.tests.worlds import Encoder

WIDTH, VECTOR, HIDDEN = 24, 24, 32
_COMMON: dict[str, Any] = {
    "num_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": WIDTH,
    "pooled_projection_dim": VECTOR,
}  # fmt: skip
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Flux": (
        "FluxTransformer2DModel", "FluxPipeline",
        {
            "patch_size": 1, "in_channels": 16, "num_single_layers": 1, "guidance_embeds": False,
            "axes_dims_rope": (4, 4, 8),
        },
    ),
    "SD3": (
        "SD3Transformer2DModel", "StableDiffusion3Pipeline",
        {"sample_size": 8, "patch_size": 2, "in_channels": 4, "out_channels": 4, "caption_projection_dim": HIDDEN},
    ),
}  # fmt: skip
# Ours and diffusers' names.
LAYERS = {
    "Flux": {"txt_in": "context_embedder", "vector_in.in_layer": "time_text_embed.text_embedder.linear_1"},
    "SD3": {"context_embedder": "context_embedder", "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1"},
}


class Weights:
    """The matrices of a small model of diffusers under ComfyUI's names."""

    def __init__(self, family: str, network: torch.nn.Module) -> None:
        self.family = family
        self.weights = {
            f"diffusion_model.{ours}.weight": network.get_submodule(theirs).weight.detach()
            for ours, theirs in LAYERS[family].items()
        }
        self.roles = dict(zip(self.weights, (Role.INPUT, Role.POOLED), strict=True))

    def read(self, name: str, device: torch.device) -> torch.Tensor:
        return self.weights[name].to(device)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.weights[name].shape)


class Pooled(Encoder):
    """States, and a vector for a text."""

    def pooled(self, texts: list[str]) -> torch.Tensor:
        return self.encode(texts)[:, -1]


def network_of(library: Any, family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    kind, _, sizes = MODELS[family]
    made: torch.nn.Module = getattr(library, kind)(**_COMMON, **sizes)
    return made


def edit_of(weights: Weights) -> Edit:
    request = Request(
        parse_concepts("cat\nred house"), settings=METHODS["uce"].settings(), method="uce", further=("pooled",)
    )
    return solve_edit(encode_request(Pooled(WIDTH), request)[0], weights, request)


@pytest.mark.parametrize("family", MODELS)
def test_diffusers_applies_what_the_edit_does(family: str, diffusers: Any, tmp_path: Path) -> None:  # noqa: F811
    network = network_of(diffusers, family)
    weights = Weights(family, network)
    edit, file = edit_of(weights), tmp_path / "lora.safetensors"
    FORMATS["lora"](edit, weights, file, Options(Rank(0, 0.001), "fp32"), silent)
    pipeline = getattr(diffusers, MODELS[family][1])
    content = pipeline.lora_state_dict(str(tmp_path), weight_name=file.name, local_files_only=True)
    more = {"network_alphas": None} if family == "Flux" else {}
    pipeline.load_lora_into_transformer(content, transformer=network, adapter_name="erased", **more)
    for ours, theirs in LAYERS[family].items():
        name = f"diffusion_model.{ours}.weight"
        layer: Any = network.get_submodule(theirs)
        states = torch.eye(weights.shape(name)[1])
        with torch.no_grad():
            change = (layer(states) - layer.base_layer(states)).T
        wanted = edit.delta(name, weights.read(name, torch.device("cpu")))
        assert (change - wanted).norm() <= 2e-3 * wanted.norm() and wanted.norm() > 0
    adapted = {name for name, layer in network.named_modules() if hasattr(layer, "base_layer")}
    assert adapted == set(LAYERS[family].values())


@pytest.mark.parametrize(("family", "block", "parts"), [
    ("Flux", "double_blocks.1", {"img_mlp.2": "ff.net.2", "txt_mlp.2": "ff_context.net.2"}),
    ("SD3", "joint_blocks.0", {"x_block.mlp.fc2": "ff.net.2", "context_block.mlp.fc2": "ff_context.net.2"}),
])  # fmt: skip
def test_feed_forward_layers_have_the_names_of_diffusers_layers(
    family: str,
    block: str,
    parts: dict[str, str],
    diffusers: Any,  # noqa: F811
) -> None:
    network, number = network_of(diffusers, family), block[-1]
    named = LABELS[family].naming([f"diffusion_model.{block}.{part}.weight" for part in parts])
    for name, theirs in zip(named.values(), parts.values(), strict=True):
        assert name == f"transformer.transformer_blocks.{number}.{theirs}"
        layer: Any = network.get_submodule(name.removeprefix("transformer."))
        assert math.prod(layer.weight.shape) > 0


def test_a_file_holds_both_ways_in(diffusers: Any, tmp_path: Path) -> None:  # noqa: F811
    weights = Weights("Flux", network_of(diffusers, "Flux"))
    FORMATS["lora"](edit_of(weights), weights, tmp_path / "a.safetensors", Options(Rank(2), "fp16"), silent)
    assert set(load_file(tmp_path / "a.safetensors")) == {
        f"transformer.{theirs}.lora_{part}.weight" for theirs in LAYERS["Flux"].values() for part in "AB"
    }
