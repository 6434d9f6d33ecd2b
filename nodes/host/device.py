"""Where to compute, on hosts old and new."""

from __future__ import annotations

import logging
from collections.abc import Callable

import comfy.model_management as management
import torch

from ...scapre.edits.edit import Edit

log = logging.getLogger("scapre")


def compute_device(choice: str) -> torch.device:
    """The device to solve on: the host's, unless the user chose the CPU or it lacks float64."""
    device = management.get_torch_device()
    return torch.device("cpu") if choice == "cpu" or not has_float64(device) else device


def has_float64(device: torch.device) -> bool:
    """Whether a device computes in float64."""
    told = getattr(management, "supports_fp64", None)  # ComfyUI 0.18 does not tell yet
    return bool(told(device)) if told else device.type in ("cpu", "cuda")


def raise_unless_out_of_memory(error: Exception) -> None:
    """Raises an error again, if it has another cause than a device's memory."""
    if not is_out_of_memory(error):
        raise error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error has a device's memory for its cause."""
    told = getattr(management, "is_oom", None)  # ComfyUI 0.16 knows one class of such errors
    return bool(told(error) if told else isinstance(error, management.OOM_EXCEPTION))


def room_on(device: torch.device) -> Callable[[int], None]:
    """What frees so many bytes of a device, by taking models off it that are not in use."""
    return (lambda needed: None) if device.type == "cpu" else lambda needed: management.free_memory(needed, device)


def with_cpu_fallback(compute: Callable[[torch.device], Edit], device: torch.device) -> Edit:
    """Computes on a device, and on the CPU if its memory does not suffice."""
    if device.type != "cpu":
        try:
            return compute(device)
        except Exception as error:
            raise_unless_out_of_memory(error)
        log.warning("not enough GPU memory to compute the edit there; using the CPU")
        management.soft_empty_cache()
    return compute(torch.device("cpu"))
