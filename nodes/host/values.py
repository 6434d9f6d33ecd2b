"""The values of a weight, whatever class of tensor the host or a loader keeps it in."""

from __future__ import annotations

import torch
from comfy.quant_ops import QuantizedTensor
from torch import Tensor
from torch.nn import Parameter

from ...scapre.errors import ScaPreError

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def values(name: str, weight: Tensor) -> Tensor:
    """The weight as a tensor of no other class, in the same memory.

    Loaders keep weights in classes of their own, also those that they have not quantised. PyTorch hands every call on
    such a tensor to its class, which need not know what to do with it, and gives the class to the results.

    Args:
        name: The weight's name, for messages.
        weight: The weight, or what the host has computed from it.

    Raises:
        ScaPreError: If the weight is quantised, or its values cannot be had.
    """
    plain = weight if type(weight) in (Tensor, Parameter) else _unwrapped(name, weight)
    if plain.dtype not in _FLOATS:
        raise _quantised(name, weight, plain.dtype)
    if plain.is_meta:
        raise ScaPreError(f"model: {name} has no values yet. The file lacks this weight, or is damaged; get it again.")
    if plain.layout != torch.strided:
        raise ScaPreError(f"model: {name} is kept as {plain.layout}, which cannot be edited. Load the model as it is.")
    return plain


def _unwrapped(name: str, weight: Tensor) -> Tensor:
    """The memory of a tensor of some class as a plain one, if it holds what the class says it does."""
    if isinstance(weight, QuantizedTensor):
        raise _quantised(name, weight, weight.dtype)
    with torch._C.DisableTorchFunctionSubclass():  # the class has no say in what follows
        try:
            there = Tensor.data_ptr(weight) != 0  # a wrapper around other tensors has no memory
            plain, shape = Tensor.as_subclass(weight, Tensor), tuple(weight.shape)
        except Exception as error:  # of a class that nothing is known about
            raise _kept(name, weight, f"PyTorch says: {error}") from error
    if plain.dtype in _FLOATS and not plain.is_meta:
        if not there:
            raise _kept(name, weight, "it holds them in other tensors")
        if tuple(plain.shape) != shape:
            raise _kept(name, weight, f"it is {shape} and holds {tuple(plain.shape)} values")
    return plain


def _quantised(name: str, weight: Tensor, dtype: torch.dtype) -> ScaPreError:
    return ScaPreError(
        f"model: {name} is quantised or packed ({type(weight).__name__}, {dtype}). Storing the edit in it would round "
        "much of it away; load the model from a file in fp16, bf16 or fp32 (weight_dtype default)."
    )


def _kept(name: str, weight: Tensor, why: str) -> ScaPreError:
    return ScaPreError(
        f"model: {name} is kept as {type(weight).__name__}, which does not give its values: {why}. Load the model from "
        "a file in fp16, bf16 or fp32 with one of ComfyUI's own loaders."
    )
