"""Where to compute."""

from __future__ import annotations

import logging
from collections.abc import Callable

import comfy.model_management as management
import torch

from ...scapre.edit import Edit

log = logging.getLogger("scapre")


def compute_device(choice: str) -> torch.device:
    """The device to solve on: the host's, unless the user chose the CPU or it lacks float64."""
    device = management.get_torch_device()
    return torch.device("cpu") if choice == "cpu" or not management.supports_fp64(device) else device


def with_cpu_fallback(compute: Callable[[torch.device], Edit], device: torch.device, memory: int) -> Edit:
    """Computes on a device, and on the CPU if its memory does not suffice."""
    if device.type != "cpu":
        management.free_memory(memory, device)
        try:
            return compute(device)
        except Exception as error:
            management.raise_non_oom(error)
        log.warning("not enough GPU memory to compute the edit there; using the CPU")
        management.soft_empty_cache()
    return compute(torch.device("cpu"))
