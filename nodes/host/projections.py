"""The text projections of the host's MODEL."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import comfy.lora
import comfy.model_management as management
import comfy.model_patcher
import torch
from comfy.quant_ops import QuantizedTensor
from torch import Tensor
from torch.func import functional_call
from torch.nn import Parameter

from ...scapre.edits.fingerprint import sample
from ...scapre.errors import ScaPreError
from ...scapre.families import find_projections, note, part
from ...scapre.families.contexts import finite
from .chain import Beside, chain
from .device import compute_device
from .quantised import is_quantised
from .values import shape, values


class HostProjections:
    """A MODEL's text projections as patched so far."""

    def __init__(self, model: Any) -> None:
        """Finds the projections.

        Raises:
            ScaPreError: If there is no model, its family is not supported, or the host cannot list its weights.
        """
        if model is None:
            raise ScaPreError("model: it is missing. Connect the output model of a loader.")
        self.model = model
        detected = type(model.model.model_config).__name__
        self._names = _names(model.model)
        self.family, self.roles = find_projections(detected, self._names)

    def read(self, name: str, device: torch.device) -> Tensor:
        """The weight with every patch and edit before this node, float32, without loading the model or changing it.

        Raises:
            ScaPreError: If the weight, or one that is merged into it, does not give its values.
        """
        which = part(name)
        weight = self.computed(which.weight, device, chain(self.model, which.weight))
        return which.of(weight)

    def parameter(self, name: str) -> Tensor:
        """Any parameter with every patch before this node, in its own shape, float32 on the CPU.

        Raises:
            ScaPreError: If there is none of this name, or it does not give its values.
        """
        if name not in self._names:
            raise ScaPreError(
                f"model: it has no {name}, through which its text goes. The file lacks this weight, or is another kind "
                "of model; get it again."
            )
        return self.computed(name, torch.device("cpu"), chain(self.model, name))

    def computed(self, name: str, device: torch.device, patches: Sequence[Any]) -> Tensor:
        """The weight with some of the host's patches; see `read`."""
        weight = management.cast_to_device(self._original(name), device, torch.float32, copy=True)
        patched = values(name, comfy.lora.calculate_weight(_plain(name, patches), weight, name, torch.float32))
        return patched.flatten(1) if patched.ndim > 1 else patched

    def network(self, name: str) -> Callable[..., Tensor]:
        """A part of the model as a function, float32 on the CPU, with every patch before this node; nothing is loaded.

        Args:
            name: Of the module.

        Raises:
            ScaPreError: If the model has no such part, or it does not give its values, or they are not finite.
        """
        try:
            module = self.model.model.get_submodule(name)
        except AttributeError:
            raise ScaPreError(
                f"model: it has no {name}, through which its text goes. The file lacks it, or is another kind of model."
            ) from None
        # A copy with the same weights: what the host hangs on to its layers while they are loaded is left behind.
        own = copy.deepcopy(module, {id(weight): weight for weight in (*module.parameters(), *module.buffers())})
        for layer in own.modules():
            vars(layer).update({part: [] for part in ("weight_function", "bias_function") if hasattr(layer, part)})
        weights = {key: finite(f"{name}.{key}", self.parameter) for key in module.state_dict()}
        return lambda *inputs: functional_call(own, weights, inputs)

    def _original(self, name: str) -> Tensor:
        """The weight without any patch, in whatever state the host keeps the model."""
        weight, layer = self._stored(name)
        return values(name, weight, layer)

    def _stored(self, name: str) -> tuple[Tensor, Any]:
        """The weight as a loader keeps it, and the layer that holds it."""
        weight, _, _ = comfy.model_patcher.get_key_weight(self.model.model, name)
        if name in self.model.backup:  # some clone of the model is loaded with patches
            weight = self.model.backup[name].weight
        elif name in self.model.hook_backup:  # a schedule of weights is running
            weight = self.model.hook_backup[name][0]
        return weight, self.model.model.get_submodule(name.rpartition(".")[0])

    def samples(self, names: Iterable[str]) -> dict[str, Tensor]:
        """`fingerprint.sample` of some projections; only those with patches are computed whole.

        Raises:
            ScaPreError: If a weight does not give its values.
        """
        device = compute_device("auto")

        def current(name: str) -> Tensor:
            which = part(name)
            if chain(self.model, which.weight):
                return self.read(name, device)
            weight = self._original(which.weight).flatten(1)
            return which.of(weight)

        return {name: sample(current(name)) for name in names}

    def shapes(self, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Shapes (n, d) of some matrices.

        Raises:
            ScaPreError: If a weight does not give its values.
        """
        return {name: (rows, math.prod(rest)) for name in names for rows, *rest in [self.shape(name)]}

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the model keeps a matrix in."""
        which = part(name)
        return which.shape(*shape(which.weight, *self._stored(which.weight)))

    def check_width(self, given: int) -> None:
        """Accepts text states of the width that the projections read.

        Raises:
            ScaPreError: If the text encoder belongs to another model.
        """
        wanted = next(self.shape(name)[1] for name, role in self.roles.items() if role.reads_text)
        if wanted != given:
            raise ScaPreError(
                f"clip: its states are {given:,} numbers wide, and the model reads {wanted:,}. Connect the text "
                "encoder that belongs to the model."
            )

    def quantised(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of some matrices whose weights the host would round an edit away in.

        Raises:
            ScaPreError: If they do not give their values; one of each kind is asked for them.
        """
        stored = {name: self._stored(part(name).weight) for name in names}
        found = {name: held for name, held in stored.items() if is_quantised(held[0])}
        kinds = {_kind(weight): (name, weight, layer) for name, (weight, layer) in found.items()}
        for name, weight, layer in kinds.values():
            values(name, weight, layer)
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        """What the edit cannot see of this model."""
        found = [note(self.family)]
        others = [i for held in self.model.injections.values() for i in held if not isinstance(i, Beside)]
        if others or getattr(self.model, "weight_wrapper_patches", None):
            found.append("the model carries bypass adapters, which change it outside its weights and are not erased")
        return tuple(filter(None, found))


def _names(network: torch.nn.Module) -> dict[str, None]:
    """Names of all weights, as the host asks for them wherever it patches a model."""
    try:
        return dict.fromkeys(network.state_dict())
    except Exception as error:  # of the class that a loader keeps the weights in
        raise ScaPreError(
            f"model: its weights cannot be listed ({type(error).__name__}: {error}), so ComfyUI cannot patch them. "
            "Load the model from a file in fp16, bf16 or fp32 with one of ComfyUI's own loaders."
        ) from error


def _kind(weight: Tensor) -> tuple[type, torch.dtype, Any]:
    return type(weight), weight.dtype, getattr(weight, "_layout_cls", None)


def _plain(name: str, patches: Sequence[Any]) -> list[Any]:
    """The host's patches with the values of merged models' weights; the host has its own way with its quantised ones.

    A merged model stands among the patches as a list: its weight with a function, and its own patches.
    """
    plain = []
    for strength, value, *rest in patches:
        if isinstance(value, list):
            (weight, convert), *inner = value
            known = type(weight) in (Tensor, Parameter) and not weight.is_meta
            if not known and not isinstance(weight, QuantizedTensor):
                weight = values(name, weight)
            value = [(weight, convert), *_plain(name, inner)]
        plain.append((strength, value, *rest))
    return plain
