"""Weights that a checkpoint keeps in float8, as numbers: times the scale that may lie beside them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from .tensor_file import TensorFile

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)

_SCALES = ("scale_weight", "weight_scale")  # as old hosts call it, and new ones
_MORE = ("weight_scale_2", "pre_quant_scale")  # of storages that need more than one number


def read_weight(file: TensorFile, name: str) -> Tensor:
    """A weight as float32, also from float8; whole, finite and not quantised otherwise.

    Raises:
        ScaPreError: If it is missing, quantised in another way, or not finite.
    """
    entry = file.entries.get(name)
    where = f"{file.field}: {shorten(file.path.name)}"
    if entry is None:
        raise ScaPreError(f"{where} lacks {shorten(name, 120)}. The file is damaged or not whole; get it again.")
    if entry.dtype not in (*_FLOATS, *FLOAT8):
        raise ScaPreError(
            f"{where}: {shorten(name, 120)} is quantised ({entry.dtype or shorten(entry.kind)}), which is not read "
            "here. Give the file in fp16, bf16, fp32 or fp8."
        )
    found = read_float8(file, name) if entry.dtype in FLOAT8 else file.read(name).to(torch.float32)
    if not bool(found.isfinite().all()):
        raise ScaPreError(f"{where}: {shorten(name, 120)} contains NaN or infinity. The file is damaged; get it again.")
    return found


def layers_of(file: TensorFile, start: str) -> int:
    """How many layers a file has under names that begin so, with their numbers from 0 on.

    Raises:
        ScaPreError: If there is none, or one in between is missing.
    """
    found = {name.removeprefix(start).split(".")[0] for name in file.entries if name.startswith(start)}
    numbers = sorted(int(number) for number in found if number.isdecimal())
    if not numbers or numbers != list(range(len(numbers))):
        raise ScaPreError(
            f"{file.field}: {shorten(file.path.name)} lacks layers of its text encoder ({start}…). The file is damaged "
            "or not whole; get it again."
        )
    return len(numbers)


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
