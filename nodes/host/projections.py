"""The text projections of the host's MODEL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import comfy.lora
import comfy.model_management as management
import comfy.model_patcher
import torch
from comfy.quant_ops import QuantizedTensor
from torch import Tensor

from ...scapre.edits.fingerprint import sample
from ...scapre.errors import ScaPreError
from ...scapre.families import find_projections
from .device import compute_device

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class HostProjections:
    """A MODEL's text projections as patched so far."""

    def __init__(self, model: Any) -> None:
        """Finds the projections.

        Raises:
            ScaPreError: If the model's family is not supported.
        """
        self.model = model
        detected = type(model.model.model_config).__name__
        self.family, self.roles = find_projections(detected, model.model.state_dict())

    def read(self, name: str, device: torch.device) -> Tensor:
        """The weight with every patch before this node, float32, without loading the model or changing it.

        Raises:
            ScaPreError: If the weight is quantised.
        """
        weight = management.cast_to_device(self._original(name), device, torch.float32, copy=True)
        if name in self.model.patches:
            weight = comfy.lora.calculate_weight(self.model.patches[name], weight, name, torch.float32)
        return weight

    def _original(self, name: str) -> Tensor:
        """The weight without any patch, in whatever state the host keeps the model."""
        weight, _, _ = comfy.model_patcher.get_key_weight(self.model.model, name)
        if name in self.model.backup:  # some clone of the model is loaded with patches
            weight = self.model.backup[name].weight
        elif name in self.model.hook_backup:  # a schedule of weights is running
            weight = self.model.hook_backup[name][0]
        if isinstance(weight, QuantizedTensor) or weight.dtype not in _FLOATS:
            raise ScaPreError(
                f"model: {name} is quantised ({type(weight).__name__}, {weight.dtype}). Storing the edit in it would "
                "round much of it away; load the model in fp16, bf16 or fp32 (weight_dtype default)."
            )
        return weight

    def samples(self, names: Iterable[str]) -> dict[str, Tensor]:
        """`fingerprint.sample` of some projections; only those with patches are computed whole.

        Raises:
            ScaPreError: If a weight is quantised.
        """
        device = compute_device("auto")

        def current(name: str) -> Tensor:
            return self.read(name, device) if name in self.model.patches else self._original(name)

        return {name: sample(current(name)) for name in names}

    def shapes(self, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Shapes of some projections.

        Raises:
            ScaPreError: If a weight is quantised.
        """
        return {name: tuple(self._original(name).shape) for name in names}

    def notes(self) -> tuple[str, ...]:
        """What the edit cannot see of this model."""
        if self.model.injections or getattr(self.model, "weight_wrapper_patches", None):
            return ("the model carries bypass adapters, which change it outside its weights and are not erased",)
        return ()
