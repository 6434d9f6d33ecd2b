"""The values of a weight, whatever class of tensor the host or a loader keeps it in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from ...scapre.errors import ScaPreError
from .quantised import FLOATS, dequantiser, is_quantised, no_values


def values(name: str, weight: Tensor, layer: Any = None) -> Tensor:
    """The weight as a tensor of no other class: in the same memory, or dequantised.

    Loaders keep weights in classes of their own, also those that they have not quantised. PyTorch hands every call on
    such a tensor to its class, which need not know what to do with it, and gives the class to the results.

    Args:
        name: The weight's name, for messages.
        weight: The weight, or what the host has computed from it.
        layer: The module that holds the weight, where there is one.

    Raises:
        ScaPreError: If the weight's values cannot be had.
    """
    if is_quantised(weight):
        return dequantiser(name, weight, layer)()
    return _plain(name, weight)


def shape(name: str, weight: Tensor, layer: Any) -> tuple[int, ...]:
    """The shape of a weight whose values can be had, without having them.

    Raises:
        ScaPreError: If they cannot.
    """
    if is_quantised(weight):
        dequantiser(name, weight, layer)
        return tuple(weight.shape)
    return tuple(_plain(name, weight).shape)


def _plain(name: str, weight: Tensor) -> Tensor:
    plain = weight if type(weight) in (Tensor, Parameter) else _unwrapped(name, weight)
    if plain.is_meta:
        raise ScaPreError(f"model: {name} has no values yet. The file lacks this weight, or is damaged; get it again.")
    if plain.layout != torch.strided:
        raise ScaPreError(f"model: {name} is kept as {plain.layout}, which cannot be edited. Load the model as it is.")
    return plain


def _unwrapped(name: str, weight: Tensor) -> Tensor:
    """The memory of a tensor of some class as a plain one, if it holds what the class says it does."""
    with torch._C.DisableTorchFunctionSubclass():  # the class has no say in what follows
        try:
            there = Tensor.data_ptr(weight) != 0  # a wrapper around other tensors has no memory
            plain, shape = Tensor.as_subclass(weight, Tensor), tuple(weight.shape)
        except Exception as error:  # of a class that nothing is known about
            raise no_values(name, weight, f"PyTorch says: {error}") from error
    if plain.dtype in FLOATS and not plain.is_meta:
        if not there:
            raise no_values(name, weight, "it holds them in other tensors")
        if tuple(plain.shape) != shape:
            raise no_values(name, weight, f"it is {shape} and holds {tuple(plain.shape)} values")
    return plain
