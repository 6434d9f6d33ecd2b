"""Models and encoders that cannot be edited are refused, with the reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import comfy.sd
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from comfy.quant_ops import QuantizedTensor

from pack.nodes.host.patch import apply_edit
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.tests.host import models
from pack.tests.host.models import CPU, KINDS, answer, projections, snapshot, solve, unet, untouched

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


def spoiled(model: ModelPatcher, value: float) -> str:
    name = list(projections(model))[5]
    model.model.get_submodule(name.removesuffix(".weight")).weight.data[3, 4] = value
    return name


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_no_number_is_named(clip: comfy.sd.CLIP, value: float) -> None:
    model = unet()
    name = spoiled(model, value)
    before = snapshot(model)
    with pytest.raises(ScaPreError, match=f"model: {name} contains NaN or infinity"):
        solve(model, clip)
    assert untouched(model, before, {})


def test_a_lora_that_is_no_number_is_found_too(clip: comfy.sd.CLIP) -> None:
    bare = unet()
    content = models.lora(bare, seed=5)
    key = next(key for key in content if key.endswith("up.weight"))
    content[key][0, 0] = math.nan
    with pytest.raises(ScaPreError, match="LoRA"):
        solve(models.with_lora(bare, content, 1.0), clip)


@pytest.mark.parametrize(("kind", "other"), [("sd15", "sdxl"), ("sdxl", "sd15"), ("sd20", "refiner")])
def test_the_encoder_of_another_family_is_refused_with_both_widths(kind: str, other: str) -> None:
    model = unet(kind)
    before = snapshot(model)
    with pytest.raises(ScaPreError, match=rf"clip: .*\b{KINDS[other].width}\b.*\b{KINDS[kind].width}\b"):
        solve(model, models.text_encoder(other))
    assert untouched(model, before, {})


def test_an_encoder_that_returns_no_numbers_is_refused() -> None:
    clip = models.text_encoder()
    clip.cond_stage_model.clip_l.transformer.text_model.final_layer_norm.weight.data[0] = math.nan
    with pytest.raises(ScaPreError, match=r"clip: .*NaN"):
        solve(unet(), clip)


def quantised_by_file() -> ModelPatcher:
    """As loaded from a file whose keys and values are scaled float8."""
    content = unet().model.diffusion_model.state_dict()
    for name in [key for key in content if "attn2.to_k" in key or "attn2.to_v" in key]:
        small = QuantizedTensor.from_float(content.pop(name), "TensorCoreFP8E4M3Layout", scale="recalculate")
        how = torch.tensor(list(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8)
        content |= {**small.state_dict(name), f"{name.removesuffix('weight')}comfy_quant": how}
    config = KINDS["sd15"].model(models.unet_settings())
    config.unet_config |= {"num_heads": -1, "num_head_channels": 8}
    config.quant_config = {"mixed_ops": True}
    config.set_inference_dtype(torch.float32, torch.float32)
    model = config.get_model({}, "", device=CPU)
    model.diffusion_model.load_state_dict(content)
    return models.patcher(model)


def stored_in_float8() -> ModelPatcher:
    """As loaded with weight_dtype fp8_e4m3fn."""
    model = unet()
    for name, weight in projections(model).items():
        layer = model.model.get_submodule(name.removesuffix(".weight"))
        layer.weight = torch.nn.Parameter(weight.to(torch.float8_e4m3fn), requires_grad=False)
    return model


QUANTISED = [quantised_by_file, stored_in_float8]


@pytest.mark.parametrize("make", QUANTISED)
def test_a_quantised_model_is_not_solved(clip: comfy.sd.CLIP, make: Callable[[], ModelPatcher]) -> None:
    model = make()
    before = answer(model) if make is quantised_by_file else None
    with pytest.raises(ScaPreError, match=r"model: .*attn2.* is quantised .*fp16, bf16 or fp32"):
        solve(model, clip)
    assert model.patches == {}
    assert before is None or torch.equal(answer(model), before)


@pytest.mark.parametrize("make", QUANTISED)
def test_a_quantised_model_is_not_edited(edit: Edit, make: Callable[[], ModelPatcher]) -> None:
    with pytest.raises(ScaPreError, match="quantised"):
        apply_edit(make(), edit, 1.0)


@pytest.mark.parametrize(
    "other",
    [
        lambda: unet("sd20"),
        lambda: unet("sdxl"),
        lambda: unet(model_channels=64),
        lambda: unet(channel_mult=[1], num_res_blocks=[1], transformer_depth=[1], transformer_depth_output=[1, 1]),
    ],
    ids=["other width", "other family", "other rows", "fewer blocks"],
)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_an_edit_of_another_architecture_is_refused(
    edit: Edit, other: Callable[[], ModelPatcher], strength: float
) -> None:
    model = other()
    before = snapshot(model)
    with pytest.raises(ScaPreError, match=r"edit: it was made for a SD1\.x model"):
        apply_edit(model, edit, strength)
    assert untouched(model, before, {})
