"""Tiny models whose keys and values (or all matrices of attention) are stored in every quantised way that hosts have.

What stands for GGUF is shaped after the loader that most people use: a tensor of bytes that tells another shape, layers
that dequantise it at each forward, in half precision, and a patcher that hangs LoRAs on the tensor.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import comfy.lora
import comfy.ops
import comfy.utils
import torch
import torch.nn.functional as F
from comfy.model_patcher import ModelPatcher
from comfy.quant_ops import QuantizedTensor
from torch import Tensor

from pack.tests.host import models
from pack.tests.host.models import CPU, KINDS

KIND = "sdxl"  # 64 numbers in a text state: blocks of 16, 32 and 64 fit

VECTOR = 40 + 6 * 256  # what the host makes of a pooled text and six sizes

Made = tuple[ModelPatcher, dict[str, Tensor]]
"""A model, and the values of its quantised weights, float32."""

LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "float8_e4m3fn": ("TensorCoreFP8E4M3Layout", {"scale": "recalculate"}),
    "float8_e5m2": ("TensorCoreFP8E5M2Layout", {"scale": "recalculate"}),
    "nvfp4": ("TensorCoreNVFP4Layout", {"scale": "recalculate"}),
    "mxfp8": ("TensorCoreMXFP8Layout", {}),
    "int8_tensorwise": ("TensorWiseINT8Layout", {"scale": "recalculate"}),
    "convrot_w4a4": ("TensorCoreConvRotW4A4Layout", {"convrot_groupsize": 64}),
}


def unet(seed: int = 0) -> ModelPatcher:
    """The model before it is quantised; it can be sampled with."""
    return models.unet(KIND, seed=seed, adm_in_channels=VECTOR)


def is_chosen(name: str) -> bool:
    """Whether a weight is a key or a value of cross-attention."""
    return ".attn2.to_k." in name or ".attn2.to_v." in name


def in_layout(form: str, *, rounding: bool = False, chosen: Callable[[str], bool] = is_chosen, seed: int = 0) -> Made:
    """As loaded from a file in mixed precision.

    Args:
        form: A key of `LAYOUTS`.
        rounding: Whether layers round what they are given too, as they do on a GPU that multiplies in that form.
        chosen: Which weights.
        seed: Of the weights.
    """
    settings = models.unet_settings(context_dim=KINDS[KIND].width, use_linear_in_transformer=True)
    config = KINDS[KIND].model(settings | {"adm_in_channels": VECTOR, "num_classes": "sequential"})
    config.unet_config |= {"num_heads": -1, "num_head_channels": 8}
    return of_config(unet(seed), config, form, chosen, rounding=rounding)


def of_config(
    plain: ModelPatcher, config: Any, form: str, chosen: Callable[[str], bool], *, rounding: bool = False
) -> Made:
    """A model as the host makes one of a configuration, with the weights of another; some in a form of `LAYOUTS`."""
    content, found = plain.model.diffusion_model.state_dict(), {}
    layout, options = LAYOUTS[form]
    for name in [key for key in content if chosen(key)]:
        small = QuantizedTensor.from_float(content.pop(name), layout, **options)
        how = {"format": form, **{key: value for key, value in options.items() if key != "scale"}}
        raw = torch.tensor(list(json.dumps(how).encode()), dtype=torch.uint8)
        content |= {**small.state_dict(name), f"{name.removesuffix('weight')}comfy_quant": raw}
        found[f"diffusion_model.{name}"] = small.dequantize()
    config.quant_config = {"mixed_ops": True}
    config.set_inference_dtype(torch.float32, torch.float32)
    model = config.get_model({}, "", device=CPU)
    model.diffusion_model.load_state_dict(content)
    for name in found:
        layer = layer_of(model, name)
        layer._full_precision_mm = not rounding
        assert isinstance(layer.weight, QuantizedTensor)
    return models.patcher(model), found


def stored(
    dtype: torch.dtype, chosen: Callable[[str], bool] = is_chosen, seed: int = 0, model: ModelPatcher | None = None
) -> Made:
    """As loaded with weight_dtype fp8_e4m3fn: plain tensors that are computed with in another precision."""
    model, found = model or unet(seed), {}
    for name, weight in list(model.model.state_dict().items()):
        layer = layer_of(model.model, name)
        if name.endswith(".weight") and isinstance(layer, torch.nn.Linear):
            layer.comfy_cast_weights = True
            if chosen(name):
                layer.weight = torch.nn.Parameter(weight.to(dtype), requires_grad=False)
                found[name] = layer.weight.float()
    return model, found


class Packed(Tensor):
    """Bytes that tell the shape of what they hold."""

    tensor_type: Any = None
    tensor_shape: Any = None
    patches: Any = ()

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """Keeps what it knows."""
        new = super().to(*args, **kwargs)
        new.tensor_type, new.tensor_shape, new.patches = self.tensor_type, self.tensor_shape, list(self.patches)
        return new

    def clone(self, *_: Any, **__: Any) -> Tensor:
        """Never copied."""
        return self

    def detach(self) -> Tensor:
        """It is that already."""
        return self

    @property
    def shape(self) -> torch.Size:
        """Of what it holds."""
        return self.tensor_shape or self.size()


def pack(weight: Tensor) -> Packed:
    """Blocks of 32 integers of eight bits with a scale in half precision: Q8_0."""
    blocks = weight.float().reshape(-1, 32)
    scale = (blocks.abs().amax(1, keepdim=True) / 127).half()
    whole = (blocks / scale.float()).round().clamp(-127, 127).to(torch.int8)
    raw = torch.cat([scale.view(torch.uint8), whole.view(torch.uint8)], 1).reshape(len(weight), -1)
    packed = raw.as_subclass(Packed)
    packed.tensor_type, packed.tensor_shape, packed.patches = "Q8_0", weight.shape, []
    return packed


def unpack(packed: Tensor, shape: torch.Size) -> Tensor:
    """What the loader makes of it: half precision throughout."""
    blocks = Tensor.as_subclass(packed, Tensor).reshape(-1, 34)
    return (blocks[:, :2].contiguous().view(torch.half) * blocks[:, 2:].contiguous().view(torch.int8)).reshape(shape)


class PackedLinear(comfy.ops.disable_weight_init.Linear):
    """Dequantises at each forward, and applies the patches that hang on the tensor."""

    def get_weight(self, tensor: Any, dtype: torch.dtype) -> Tensor:
        """The values of a tensor."""
        weight = unpack(tensor, tensor.tensor_shape).to(dtype)
        for patches, key in tensor.patches:
            weight = comfy.lora.calculate_weight(patches, weight, key)
        return weight

    def forward(self, states: Tensor) -> Tensor:
        """The usual."""
        return F.linear(states, self.get_weight(self.weight, states.dtype), self.bias)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Sizes alone, as the host asks for names."""
        destination[f"{prefix}weight"] = torch.zeros_like(self.weight, device="meta")


class PackedPatcher(ModelPatcher):
    """Patches packed weights at each forward."""

    def patch_weight_to_device(self, key: str, device_to: Any = None, inplace_update: bool = False) -> Any:
        """Hangs patches on a tensor that is packed."""
        weight = comfy.utils.get_attr(self.model, key)
        if not isinstance(weight, Packed):
            return super().patch_weight_to_device(key, device_to, inplace_update)
        if key in self.patches:
            out = weight.to(device_to)
            out.patches = [(self.patches[key], key)]
            comfy.utils.set_attr_param(self.model, key, out)
        return None

    def unpatch_model(self, device_to: Any = None, unpatch_weights: bool = True) -> Any:
        """Takes them off."""
        if unpatch_weights:
            for parameter in self.model.parameters():
                if isinstance(parameter, Packed):
                    parameter.patches = []
        return super().unpatch_model(device_to=device_to, unpatch_weights=unpatch_weights)

    def load(self, *args: Any, force_patch_weights: bool = False, **kwargs: Any) -> None:
        """Always patches, also where memory is short."""
        super().load(*args, force_patch_weights=True, **kwargs)


def packed(chosen: Callable[[str], bool] = is_chosen, seed: int = 0, model: ModelPatcher | None = None) -> Made:
    """As loaded from a GGUF file."""
    model, found = model or unet(seed), {}
    for name, weight in list(model.model.state_dict().items()):
        if chosen(name):
            layer = layer_of(model.model, name)
            layer.__class__ = PackedLinear
            small = pack(weight)
            found[name] = unpack(small, small.tensor_shape).float()
            layer.weight = torch.nn.Parameter(small, requires_grad=False)
    return PackedPatcher(model.model, CPU, CPU), found


STORAGES: dict[str, Callable[..., Made]] = {
    "fp8 storage e4m3": lambda **more: stored(torch.float8_e4m3fn, **more),
    "fp8 storage e5m2": lambda **more: stored(torch.float8_e5m2, **more),
    **{form: lambda form=form, **more: in_layout(form, **more) for form in LAYOUTS},
    "fp8 that rounds what goes in": lambda **more: in_layout("float8_e4m3fn", rounding=True, **more),
    "int8 that rounds what goes in": lambda **more: in_layout("int8_tensorwise", rounding=True, **more),
    "GGUF": lambda **more: packed(**more),
}


def layer_of(network: torch.nn.Module, name: str) -> Any:
    """The layer that holds a weight."""
    return network.get_submodule(name.rpartition(".")[0])


def plain(values: dict[str, Tensor], seed: int = 0) -> ModelPatcher:
    """The same model in float32, with what the quantised weights stand for."""
    model = unet(seed)
    for name, weight in values.items():
        layer_of(model.model, name).weight = torch.nn.Parameter(weight.clone(), requires_grad=False)
    return model


def answers(network: torch.nn.Module, names: Any, seed: int = 3) -> dict[str, Tensor]:
    """What layers make of random states, by the weights' names."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    with torch.inference_mode():
        for name in names:
            layer = layer_of(network, name)
            width = tuple(layer.weight.shape)[1]
            found[name] = layer(torch.randn(2, 77, width, generator=generator)).double()
    return found


def states_of(values: dict[str, Tensor], seed: int = 3) -> dict[str, Tensor]:
    """What `answers` gives the layers."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(2, 77, w.shape[1], generator=generator).double() for name, w in values.items()}
