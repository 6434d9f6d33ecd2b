"""Weights that a checkpoint keeps in float8, as numbers: times the scale that may lie beside them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from .tensor_file import TensorFile

FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)

_SCALES = ("scale_weight", "weight_scale")  # as old hosts call it, and new ones
_MORE = ("weight_scale_2", "pre_quant_scale")  # of storages that need more than one number


def read_float8(file: TensorFile, name: str) -> Tensor:
    """A tensor of float8 as float32: exact, since every product with a scale is rounded once.

    Raises:
        ScaPreError: If it is scaled in a way that is not known here.
    """
    path = name.removesuffix("weight")
    beside = [path + word for word in _SCALES if path + word in file.entries] if path != name else []
    more = [path + word for word in _MORE if path + word in file.entries]
    if more or len(beside) > 1 or any(math.prod(file.entries[scale].shape) != 1 for scale in beside):
        raise ScaPreError(
            f"checkpoint: {shorten(name, 120)} is quantised with more than one scale "
            f"({shorten(', '.join([*beside, *more]), 120)}), which is not read here. Give a checkpoint in fp16, bf16, "
            "fp32 or plain fp8, or load it in ComfyUI and use the nodes."
        )
    values = file.read(name).to(torch.float32)
    return values * file.read(beside[0]).to(torch.float32).reshape(()) if beside else values
