"""What training takes of memory, before it takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management as management
import torch

from ...scapre.errors import ScaPreError
from ...scapre.methods.kscu.factors import numbers

_COPIES = 4  # of what is trained: itself, its gradient, and Adam's two moments
_BYTES = 4


def check_memory(model: Any, shapes: Mapping[str, Sequence[int]], rank: int) -> str:
    """What training takes beside the model, in words; what one iteration takes comes on top.

    Args:
        model: The MODEL, which is loaded a second time.
        shapes: Of the weights that are trained.
        rank: Of their factors; 0 is full weights.

    Raises:
        ScaPreError: If that is more than the device has.
    """
    count = sum(numbers(shape, rank) for shape in shapes.values())
    copy, trained = model.model_size(), _COPIES * _BYTES * count
    device = model.load_device
    there = management.get_free_memory(device) if device.type == "cpu" else management.get_total_memory(device)
    needed = (
        f"{(copy + trained) / 1e9:.2f} GB ({copy / 1e9:.2f} for a second copy of the model, {trained / 1e9:.2f} for "
    )
    needed += f"what is trained of {count / 1e6:.1f} million numbers)"
    if copy + trained > there:
        smaller = "take a smaller rank" if rank else "give a rank above 0"
        raise ScaPreError(
            f"model: training it needs {needed}, and {there / 1e9:.2f} GB are there on {device}. Close what else uses "
            f"memory, {smaller}, or load the model in fp16 or bf16."
        )
    return needed


def free(device: torch.device) -> float:
    """Free memory of a device, in GB."""
    return float(management.get_free_memory(device)) / 1e9
