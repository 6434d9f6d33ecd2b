"""The values of quantised weights, as the layers that hold them compute with them.

Every storage has a way of its own back to numbers. None is read unless its class says how: bytes alone do not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy.quant_ops import QuantizedTensor
from torch import Tensor
from torch.nn import Parameter

from ...scapre.errors import ScaPreError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
_ASIDE = ("scale_weight", "pre_quant_scale")
"""What a layer multiplies by beside its weight: old hosts' scaled fp8, and smoothing of activations."""


def is_quantised(weight: Tensor) -> bool:
    """Whether a loader keeps a weight in less than half precision, so that an edit of it would be rounded away."""
    return isinstance(weight, QuantizedTensor) or weight.dtype not in FLOATS or _knows_a_way(weight)


def dequantiser(name: str, weight: Tensor, layer: Any) -> Callable[[], Tensor]:
    """What gives the values of a quantised weight, float32 where its class leaves the choice.

    Args:
        name: The weight's name, for messages.
        weight: It.
        layer: The module that holds it, which knows the way back in some loaders; None where there is none.

    Raises:
        ScaPreError: If there is no way back that is known, or the layer computes with other values.
    """
    aside = next((scale for scale in _ASIDE if getattr(layer, scale, None) is not None), None)
    if aside:
        raise no_values(name, weight, f"its layer scales by {aside} beside it")
    if type(weight) in (Tensor, Parameter) and weight.dtype in _FLOAT8:
        return lambda: weight.to(torch.float32)
    if isinstance(weight, QuantizedTensor):
        return lambda: _given(name, weight, lambda: weight.to(torch.float32).dequantize())
    if hasattr(weight, "tensor_type") and callable(getattr(layer, "get_weight", None)):
        return lambda: _given(name, weight, lambda: layer.get_weight(_unpatched(weight), torch.float32))
    if _own_dequantize(weight):
        return lambda: _given(name, weight, weight.dequantize)
    raise ScaPreError(
        f"model: {name} is quantised or packed ({type(weight).__name__}, {weight.dtype}) in a way that does not give "
        "its values. Load the model from a file in fp16, bf16 or fp32 (weight_dtype default), in fp8, or as GGUF."
    )


def no_values(name: str, weight: Tensor, why: str) -> ScaPreError:
    """The error for a weight that keeps its values to itself."""
    return ScaPreError(
        f"model: {name} is kept as {type(weight).__name__}, which does not give its values: {why}. Load the model from "
        "a file in fp16, bf16 or fp32 with one of ComfyUI's own loaders."
    )


def _own_dequantize(weight: Tensor) -> bool:
    return getattr(type(weight), "dequantize", None) is not Tensor.dequantize


def _knows_a_way(weight: Tensor) -> bool:
    """Whether a wrapper around other tensors, whose dtype says nothing of what is stored, can be asked for values."""
    with torch._C.DisableTorchFunctionSubclass():
        try:
            return _own_dequantize(weight) and Tensor.data_ptr(weight) == 0 and weight.device.type != "meta"
        except Exception:  # of a class that nothing is known about
            return False


def _given(name: str, weight: Tensor, ask: Callable[[], Any]) -> Tensor:
    """What a class gives for the values, if that can be them."""
    try:
        found = ask()
    except Exception as error:  # of a class, or a layout, that nothing is known about
        raise no_values(name, weight, f"{type(error).__name__}: {error}") from error
    if not isinstance(found, Tensor) or tuple(found.shape) != tuple(weight.shape) or found.dtype not in FLOATS:
        told = f"{tuple(found.shape)}, {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
        raise no_values(name, weight, f"it is {tuple(weight.shape)} and was dequantised to {told}")
    with torch._C.DisableTorchFunctionSubclass():
        return found if type(found) is Tensor else Tensor.as_subclass(found, Tensor)


def _unpatched(weight: Any) -> Tensor:
    """The same bytes without the patches that a loader hangs on its tensor while the model is loaded."""
    with torch._C.DisableTorchFunctionSubclass():
        bare = Tensor.as_subclass(weight, type(weight))
    bare.__dict__.update(weight.__dict__)
    bare.patches = []  # type: ignore[attr-defined]  # of the loader's class
    return bare
