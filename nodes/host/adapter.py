"""An edit as one of the host's weight adapters."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import comfy.model_management as management
import comfy.weight_adapter
import torch
from torch import Tensor

from ...scapre.edits.edit import Edit
from ...scapre.families import part
from ...scapre.methods.change import Change
from .device import has_float64, raise_unless_out_of_memory
from .values import values

log = logging.getLogger("scapre")

_T = TypeVar("_T")
Offset = tuple[int, int, int]
"""Some of a weight's rows or columns as the host names them: the dimension, the first, and how many."""


def offset_of(name: str, edit: Edit) -> Offset | None:
    """Where in its weight a matrix is; None where it is all of it."""
    which = part(name)
    return None if which.whole else which.place(edit.matrices[name][0] * which.count)


class Copies:
    """An edit's tensors on the device that last asked for them, until the host has finished with the model."""

    def __init__(self, edit: Edit) -> None:
        self.edit = edit
        self.drop()

    def patch(self, name: str) -> EditPatch:
        """The edit of one matrix, as the host takes it."""
        return EditPatch(set(), (torch.zeros(1), self, name))

    def drop(self, *_: Any) -> None:
        """Keeps the edit on the CPU alone, and believes in the device's memory again."""
        self.device, self.copy, self.fits = torch.device("cpu"), self.edit, True

    def delta(self, key: str, weight: Tensor) -> Tensor:
        """The edit of a weight, computed where the weight is if that has float64 and the memory, else on the CPU."""
        return self._computed(weight, lambda edit, weight: edit.delta(key, weight)).to(weight.device)

    def change(self, key: str, weight: Tensor) -> Change:
        """The same in compact form, on the device where it was computed."""
        return self._computed(weight, lambda edit, weight: edit.change(key, weight))

    def _computed(self, weight: Tensor, compute: Callable[[Edit, Tensor], _T]) -> _T:
        if self.fits and has_float64(weight.device):
            try:
                return compute(self._on(weight.device), weight)
            except Exception as error:
                raise_unless_out_of_memory(error)
            self.drop()
            self.fits = False
            management.soft_empty_cache()
            log.warning("not enough GPU memory to apply the edit there; using the CPU")
        return compute(self.edit, weight.cpu())

    def _on(self, device: torch.device) -> Edit:
        if device != self.device:
            self.device, self.copy = device, self.edit.to(device)
        return self.copy


class EditPatch(comfy.weight_adapter.WeightAdapterBase):
    """Evaluates an edit on the weight that the host is patching, at its place among the other patches.

    The host rebuilds adapters from `weights`, moving the tensors in it; the edit itself, shared by all matrices, is
    carried along as it is.
    """

    name = "scapre"

    def __init__(self, loaded_keys: set[str], weights: tuple[Tensor, Copies, str]) -> None:
        """Takes the host's two arguments: unused keys; and a marker tensor, the edit, and the matrix's name in it."""
        self.loaded_keys = loaded_keys
        self.weights = weights

    @property
    def edit(self) -> Edit:
        """The edit itself, on the CPU."""
        return self.weights[1].edit

    def calculate_weight(
        self,
        weight: Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: Any,
        function: Callable[[Tensor], Tensor],
        intermediate_dtype: torch.dtype = torch.float32,
        original_weights: Any = None,
    ) -> Tensor:
        """Adds strength times the edit to the weight, in place as the host expects, and so in the weight's own class.

        Raises:
            ScaPreError: If the weight's values cannot be had.
        """
        if strength:
            plain = values(key, weight)
            _, copies, name = self.weights
            change = copies.delta(name, plain.flatten(1)).reshape(plain.shape)
            plain += function((strength * change).to(plain.dtype))
        return weight
