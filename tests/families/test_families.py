"""Which models are supported, and where their projections are."""

from __future__ import annotations

import re

import pytest
import torch

from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role, find_projections, stable_diffusion
from pack.scapre.families import part as part_of
from pack.scapre.families.marks import part_of_a_model
from pack.scapre.families.signatures import detect

UNET = [
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_k.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_out.0.weight",
    "diffusion_model.middle_block.1.transformer_blocks.3.attn2.to_v.weight",
]


@pytest.mark.parametrize("detected", stable_diffusion.FAMILIES)
def test_matrices_are_found_in_order_with_what_they_are_for(detected):
    title, roles = find_projections(detected, UNET)
    assert title
    kinds = [Role.OTHER, Role.QUERY, Role.KEY, Role.VALUE, Role.ANSWER, Role.VALUE]
    assert list(roles.items()) == list(zip(UNET, kinds, strict=True))
    outside = ["time_embed.0.weight", "label_emb.0.0.weight", "out.2.weight", "input_blocks.1.0.in_layers.0.weight"]
    more = find_projections(detected, [*UNET, *(f"diffusion_model.{name}" for name in outside)])[1]
    pooled = {} if title in ("SD1.x", "SD2.x") else {"diffusion_model.label_emb.0.0.weight[:1280]": Role.POOLED}
    assert more == {**roles, **pooled}


@pytest.mark.parametrize("detected", ["HiDreamO1", "SVD_img2vid", "LongCatImage", "Stable_Zero123"])
def test_any_other_family_is_refused_by_name_with_the_supported_list(detected):
    with pytest.raises(ScaPreError) as error:
        find_projections(detected, UNET)
    for part in (
        detected,
        "SD1.x",
        "SD2.x",
        "SDXL",
        "SDXL refiner",
        "SSD-1B",
        "Segmind Vega",
        "KOALA",
        "PixArt",
        "Wan",
    ):
        assert part in str(error.value)


def test_a_model_without_cross_attention_is_refused():
    with pytest.raises(ScaPreError, match="nothing to edit"):
        find_projections("SD15", UNET[:2])


@pytest.mark.parametrize(("detected", "parameters"), [("HiDreamO1", UNET), ("SD15", UNET[:2])])
def test_the_input_that_names_the_model_is_named(detected, parameters):
    with pytest.raises(ScaPreError, match=r"^model: "):
        find_projections(detected, parameters)
    with pytest.raises(ScaPreError, match=r"^checkpoint: "):
        find_projections(detected, parameters, "checkpoint")


def test_models_that_are_driven_by_instructions_are_edited_as_the_family_they_come_from():
    assert find_projections("SD15_instructpix2pix", UNET)[0] == "SD1.x"
    assert find_projections("SDXL_instructpix2pix", UNET)[0] == "SDXL"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", "a LoRA"),
        ("unet.mid_block.attentions.0.attn1.to_q.lora_A.weight", "a LoRA"),
        ("lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", "a LoRA"),
        ("control_model.input_blocks.0.0.weight", "a ControlNet"),
        ("controlnet_cond_embedding.conv_in.weight", "a ControlNet"),
        ("emb_params", "a textual inversion"),
        ("clip_g", "a textual inversion"),
        ("text_model.encoder.layers.0.mlp.fc1.weight", "a text encoder"),
        ("decoder.conv_in.weight", "a VAE"),
        ("states.tokens", "an edit of this pack"),
    ],
)
def test_what_belongs_to_a_model_is_told_from_one(name, said):
    assert part_of_a_model([name]).startswith(said)
    assert part_of_a_model([name, "model.diffusion_model.some.weight"]) is None
    assert part_of_a_model(["some.weight"]) is None


def test_a_model_that_is_refused_is_called_what_the_host_calls_it() -> None:
    shapes = {"x_embedder.proj.weight": (1536, 16, 2, 2), "joint_blocks.0.x_block.attn.qkv.weight": (4608, 1536)}
    with pytest.raises(ScaPreError, match=r"^model: its diffusion model is none that is supported"):
        detect(shapes, field="model")


def blocks(*layers: str, start: str) -> list[str]:
    return [f"diffusion_model.{start}.{number}.{layer}.weight" for number in range(3) for layer in layers]


@pytest.mark.parametrize(
    ("detected", "layers", "gone"),
    [
        ("PixArtSigma", ("attn.qkv", "cross_attn.kv_linear"), "blocks.1.cross_attn.kv_linear.weight[1/2]"),
        ("WAN21_T2V", ("cross_attn.k", "cross_attn.v"), "blocks.2.cross_attn.v.weight"),
        (
            "SD15",
            ("1.transformer_blocks.0.attn2.to_k", "1.transformer_blocks.0.attn2.to_v"),
            "input_blocks.2.1.transformer_blocks.0.attn2.to_v.weight",
        ),
    ],
)
def test_a_text_projection_that_one_block_lacks_is_named(detected: str, layers: tuple[str, ...], gone: str) -> None:
    whole = blocks(*layers, start=gone.split(".")[0])
    assert find_projections(detected, whole)
    lacking = [name for name in whole if name != f"diffusion_model.{gone.split('[')[0]}"]
    with pytest.raises(ScaPreError, match=rf"^model: it has no diffusion_model\.{re.escape(gone)}, which other blocks"):
        find_projections(detected, lacking)


@pytest.mark.parametrize(("name", "shape"), [("a.weight[1/2]", (5, 4)), ("a.weight[:8]", (6, 4))])
def test_a_weight_that_cannot_be_cut_is_refused(name: str, shape: tuple[int, int]) -> None:
    with pytest.raises(ScaPreError, match=r"^model: a\.weight has the shape"):
        part_of(name).of(torch.zeros(shape))
