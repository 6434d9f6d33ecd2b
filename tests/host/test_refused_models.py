"""Models and encoders that cannot be edited are refused, with the reason."""

from __future__ import annotations

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
from pack.tests.host.models import KINDS, projections, snapshot, solve, unet, untouched

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


def stored(dtype: torch.dtype) -> ModelPatcher:
    """A model whose keys and values are kept in some type."""
    model = unet()
    for name, weight in projections(model).items():
        layer = model.model.get_submodule(name.removesuffix(".weight"))
        layer.weight = torch.nn.Parameter(weight.to(dtype), requires_grad=False)
    return model


def scaled_beside_the_weight(scale: str) -> ModelPatcher:
    """As old hosts have scaled float8, and new ones weights whose activations were smoothed."""
    model = stored(torch.float8_e4m3fn)
    for name in projections(model):
        setattr(model.model.get_submodule(name.removesuffix(".weight")), scale, torch.tensor(2.0))
    return model


def in_a_layout(spoil: Callable[[QuantizedTensor], None]) -> ModelPatcher:
    """Keys and values as the host quantises them, with something wrong."""
    model = unet()
    for name, weight in projections(model).items():
        small = QuantizedTensor.from_float(weight, "TensorCoreFP8E4M3Layout", scale="recalculate")
        spoil(small)
        layer = model.model.get_submodule(name.removesuffix(".weight"))
        layer.weight = torch.nn.Parameter(small, requires_grad=False)
    return model


def unknown(weight: QuantizedTensor) -> None:
    weight._layout_cls = "LayoutOfTomorrow"


def reshaped(weight: QuantizedTensor) -> None:
    weight._qdata = weight._qdata[:, :1].contiguous()


QUANTISED: dict[str, tuple[Callable[[], ModelPatcher], str]] = {
    "a scale beside it": (lambda: scaled_beside_the_weight("scale_weight"), "scales by scale_weight beside it"),
    "smoothed": (lambda: scaled_beside_the_weight("pre_quant_scale"), "scales by pre_quant_scale beside it"),
    "bytes": (lambda: stored(torch.uint8), "quantised or packed .Parameter, torch.uint8"),
    "integers": (lambda: stored(torch.int8), "quantised or packed .Parameter, torch.int8"),
}
UNREADABLE: dict[str, tuple[Callable[[], ModelPatcher], str]] = QUANTISED | {
    "an unknown layout": (lambda: in_a_layout(unknown), "kept as QuantizedTensor.*LayoutOfTomorrow"),
    "too few bytes": (lambda: in_a_layout(reshaped), "kept as QuantizedTensor.*dequantised to"),
}


@pytest.mark.parametrize(("make", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_model_that_does_not_give_its_values_is_not_solved(
    clip: comfy.sd.CLIP, make: Callable[[], ModelPatcher], said: str
) -> None:
    model = make()
    with pytest.raises(ScaPreError, match=rf"model: .*attn2.*{said}.*fp16, bf16 or fp32"):
        solve(model, clip)
    assert model.patches == {} and model.injections == {}


@pytest.mark.parametrize(("make", "said"), QUANTISED.values(), ids=QUANTISED)
def test_a_model_that_does_not_give_its_values_is_not_edited(
    edit: Edit, make: Callable[[], ModelPatcher], said: str
) -> None:
    with pytest.raises(ScaPreError, match=said):
        apply_edit(make(), edit, 1.0)


def test_a_scale_that_is_no_number_is_named(clip: comfy.sd.CLIP) -> None:
    model = in_a_layout(lambda weight: weight._params.scale.fill_(math.nan))
    with pytest.raises(ScaPreError, match=r"model: .*attn2.*contains NaN or infinity"):
        solve(model, clip)


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
    with pytest.raises(ScaPreError, match=r"edit: it was made for SD1\.x models"):
        apply_edit(model, edit, strength)
    assert untouched(model, before, {})
