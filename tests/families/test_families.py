"""Which models are supported, and where their projections are."""

from __future__ import annotations

import pytest

from pack.scapre.errors import ScaPreError
from pack.scapre.families import FAMILIES, Role, find_projections

UNET = [
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_k.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_v.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_out.0.weight",
    "diffusion_model.middle_block.1.transformer_blocks.3.attn2.to_v.weight",
]


@pytest.mark.parametrize("detected", FAMILIES)
def test_keys_and_values_of_cross_attention_are_found_in_order(detected):
    title, roles = find_projections(detected, UNET)
    assert title
    assert list(roles.items()) == [(UNET[2], Role.KEY), (UNET[3], Role.VALUE), (UNET[5], Role.VALUE)]


@pytest.mark.parametrize("detected", ["Flux", "SD3", "PixArtSigma", "SVD_img2vid", "WAN21_T2V", "SD15_instructpix2pix"])
def test_any_other_family_is_refused_by_name_with_the_supported_list(detected):
    with pytest.raises(ScaPreError) as error:
        find_projections(detected, UNET)
    for part in (detected, "SD1.x", "SD2.x", "SDXL", "SDXL refiner", "SSD-1B", "Segmind Vega", "KOALA"):
        assert part in str(error.value)


def test_a_model_without_cross_attention_is_refused():
    with pytest.raises(ScaPreError, match="nothing to edit"):
        find_projections("SD15", UNET[:2])
