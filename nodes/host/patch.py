"""An edit as a patch of the host's MODEL."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management as management
import comfy.weight_adapter
import torch
from comfy.patcher_extension import CallbacksMP
from torch import Tensor

from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError, shorten
from ...scapre.families import having
from .device import has_float64, raise_unless_out_of_memory
from .projections import HostProjections

log = logging.getLogger("scapre")


class _Copies:
    """An edit's tensors on the device that last asked for them, until the host has finished with the model."""

    def __init__(self, edit: Edit) -> None:
        self.edit = edit
        self.drop()

    def drop(self, *_: Any) -> None:
        """Keeps the edit on the CPU alone, and believes in the device's memory again."""
        self.device, self.copy, self.fits = torch.device("cpu"), self.edit, True

    def delta(self, key: str, weight: Tensor) -> Tensor:
        """The edit of a weight, computed where the weight is if that has float64 and the memory, else on the CPU."""
        if self.fits and has_float64(weight.device):
            try:
                return self._on(weight.device).delta(key, weight)
            except Exception as error:
                raise_unless_out_of_memory(error)
            self.drop()
            self.fits = False
            management.soft_empty_cache()
            log.warning("not enough GPU memory to apply the edit there; using the CPU")
        return self.edit.delta(key, weight.cpu()).to(weight.device)

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

    def __init__(self, loaded_keys: set[str], weights: tuple[Tensor, _Copies]) -> None:
        """Takes the host's two arguments: unused keys, and a marker tensor with the edit."""
        self.loaded_keys = loaded_keys
        self.weights = weights

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
        """Adds strength times the edit to the weight, in place as the host expects."""
        if strength:
            weight += function((strength * self.weights[1].delta(key, weight)).to(weight.dtype))
        return weight


def apply_edit(model: Any, edit: Edit, strength: float) -> Any:
    """A clone of the model with the edit as a patch; the model itself at strength 0.

    Raises:
        ScaPreError: If the edit was made for another architecture or is on the model already, or a weight is quantised.
    """
    _check_match(HostProjections(model), edit)
    if not strength:
        return model
    if any(carried.same_as(edit) for carried in carried_edits(model)):
        raise ScaPreError(
            "edit: the model already carries this edit, and would get it twice. Connect the model that goes into Erase "
            "Concepts; for a stronger edit, raise strength."
        )
    copies = _Copies(edit)
    patches = {name: EditPatch(set(), (torch.zeros(1), copies)) for name in edit.shapes}
    clone = model.clone()
    missed = set(patches) - set(clone.add_patches(patches, strength))
    if missed:
        raise ScaPreError(f"model: {shorten(sorted(missed)[0])} could not be patched. Restart the host and try again.")
    for event in (CallbacksMP.ON_LOAD, CallbacksMP.ON_CLEANUP):
        clone.add_callback_with_key(event, "scapre", copies.drop)
    return clone


def carried_edits(model: Any) -> list[Edit]:
    """The edits that a model has among its patches."""
    patches = (entry[1] for held in model.patches.values() for entry in held)
    copies = {id(p.weights[1]): p.weights[1] for p in patches if isinstance(p, EditPatch)}
    return [copy.edit for copy in copies.values()]


def _check_match(projections: HostProjections, edit: Edit) -> None:
    names = having(projections, edit.solver.roles)
    here, there = projections.shapes(names), dict(edit.shapes)
    if here != there:
        raise ScaPreError(
            f"edit: it was made for a {edit.family} model with {len(there)} text projections, and this "
            f"{projections.family} model has {len(here)}, or others. Make the edit again on this model."
        )
