"""Which families are supported, as the host detects them, and which are refused by name."""

from __future__ import annotations

from typing import Any

import comfy.model_detection as detection
import pytest
import torch
from comfy.model_patcher import ModelPatcher

from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.scapre.errors import ScaPreError
from pack.scapre.families import FAMILIES
from pack.tests.host import models
from pack.tests.host.models import KINDS, answer, projections, solve, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


def big_unet(**changes: Any) -> dict[str, Any]:
    """SD1.x as the detection describes it."""
    sd1 = models.unet_settings(
        model_channels=320, channel_mult=[1, 2, 4, 4], num_res_blocks=[2, 2, 2, 2], context_dim=768,
        transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0], transformer_depth_output=[1] * 9 + [0] * 3,
    )  # fmt: skip
    return sd1 | changes


def big_sdxl(depth: list[int], output: list[int], middle: int, blocks: int = 2, **changes: Any) -> dict[str, Any]:
    settings = big_unet(
        channel_mult=[1, 2, 4], num_res_blocks=[blocks] * 3, context_dim=2048, adm_in_channels=2816,
        transformer_depth=depth, transformer_depth_output=output, transformer_depth_middle=middle,
        use_linear_in_transformer=True, num_classes="sequential",
    )  # fmt: skip
    return settings | changes


def unclip(vector: int) -> dict[str, Any]:
    return big_unet(context_dim=1024, use_linear_in_transformer=True, adm_in_channels=vector, num_classes="sequential")


SUPPORTED = {  # class: what its checkpoints look like, and its cross-attentions
    "SD15": (big_unet(), 16),
    "SD20": (big_unet(context_dim=1024, use_linear_in_transformer=True), 16),
    "SD21UnclipL": (unclip(1536), 16),
    "SD21UnclipH": (unclip(2048), 16),
    "SDXL": (big_sdxl([0, 0, 2, 2, 10, 10], [0, 0, 0, 2, 2, 2, 10, 10, 10], 10), 70),
    "SSD1B": (big_sdxl([0, 0, 2, 2, 4, 4], [0, 0, 0, 1, 1, 2, 10, 4, 4], -1), 34),
    "Segmind_Vega": (big_sdxl([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 2, 2, 2], -1), 15),
    "KOALA_700M": (big_sdxl([0, 2, 5], [0, 0, 2, 2, 5, 5], -2, 1), 21),
    "KOALA_1B": (big_sdxl([0, 2, 6], [0, 0, 2, 2, 6, 6], 6, 1), 30),
    "SDXLRefiner": (
        big_sdxl(
            [0, 0, 4, 4, 4, 4, 0, 0], [0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0], 4,
            channel_mult=[1, 2, 4, 4], num_res_blocks=[2] * 4, model_channels=384, context_dim=1280,
            adm_in_channels=2560,
        ),
        44,
    ),
}  # fmt: skip
REFUSED = {
    "SD15_instructpix2pix": big_unet(in_channels=8),
    "SDXL_instructpix2pix": big_sdxl([0, 0, 2, 2, 10, 10], [0, 0, 0, 2, 2, 2, 10, 10, 10], 10, in_channels=8),
    "LotusD": big_unet(context_dim=1024, use_linear_in_transformer=True, adm_in_channels=4, num_classes="sequential"),
    "SD_X4Upscaler": big_unet(model_channels=256, in_channels=7, context_dim=1024, use_linear_in_transformer=True),
    "SVD_img2vid": big_unet(
        in_channels=8, context_dim=1024, adm_in_channels=768, use_linear_in_transformer=True, num_classes="sequential",
        use_temporal_attention=True, use_temporal_resblock=True, merge_strategy="learned_with_images", merge_factor=0.0,
        extra_ff_mix_layer=True, use_spatial_context=True, video_kernel_size=[3, 1, 1],
    ),
    "SD3": {
        "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 1, "input_size": None, "adm_in_channels": 16,
        "num_patches": 64, "pos_embed_max_size": 8, "pos_embed_scaling_factor": None,
        "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 24, "out_features": 64}},
    },
    "Flux": {
        "image_model": "flux", "guidance_embed": True, "in_channels": 16, "out_channels": 16, "vec_in_dim": 16,
        "context_in_dim": 24, "hidden_size": 64, "mlp_ratio": 2.0, "num_heads": 2, "depth": 1, "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12], "theta": 10000, "patch_size": 2, "qkv_bias": True, "txt_ids_dims": [],
    },
    "PixArtSigma": {
        "image_model": "pixart_sigma", "num_heads": 2, "patch_size": 2, "hidden_size": 32, "in_channels": 4, "depth": 1,
        "model_max_length": 7, "input_size": 64, "pe_interpolation": 1, "micro_condition": False,
        "caption_channels": 24,
    },
}  # fmt: skip


def as_detected(settings: dict[str, Any]) -> ModelPatcher:
    """The model the host builds for a checkpoint of these settings, in full size but without memory for its weights."""
    config = detection.model_config_from_unet_config(settings, {})
    config.set_inference_dtype(torch.float16, None)
    device = torch.device("meta")
    return ModelPatcher(config.get_model({}, "", device=device), device, device)


def test_every_supported_family_is_tested() -> None:
    assert set(SUPPORTED) == set(FAMILIES)


@pytest.mark.parametrize("detected", SUPPORTED)
def test_a_supported_family_shows_the_keys_and_values_of_all_its_cross_attentions(detected: str) -> None:
    settings, attentions = SUPPORTED[detected]
    model = as_detected(settings)
    found = HostProjections(model)
    assert type(model.model.model_config).__name__ == detected
    assert found.family == FAMILIES[detected].title
    assert len(found.roles) == len(set(found.roles)) == 2 * attentions
    assert sum(name.endswith("attn2.to_k.weight") for name in found.roles) == attentions
    weights = model.model.state_dict()
    assert {weights[name].shape[1] for name in found.roles} == {settings["context_dim"]}


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor", "ignore:__array_wrap__ must accept")  # the host's
@pytest.mark.parametrize("detected", REFUSED)
def test_another_family_is_refused_by_name_with_the_list_of_those_supported(detected: str) -> None:
    model = as_detected(REFUSED[detected])
    assert type(model.model.model_config).__name__ == detected
    with pytest.raises(ScaPreError, match=f"model: {detected} ") as refusal:
        HostProjections(model)
    assert all(family.title in str(refusal.value) for family in FAMILIES.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_every_family_is_solved_and_edited(kind: str) -> None:
    model, clip = unet(kind), models.text_encoder(kind)
    before = answer(model)
    solved = solve(model, clip)
    assert set(solved.shapes) == set(projections(model))
    after = answer(apply_edit(model, solved, 1.0))
    assert after.isfinite().all()
    assert (after - before).abs().max() > 0.01
