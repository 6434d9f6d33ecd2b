"""An edit beside layers whose weights are quantised: it is added to what they answer, and no weight is touched.

y = f(x) + s (W' - W) x. The change of each weight is evaluated on its dequantised values, once, and held as thin as it
is. It is added to the answer, and what goes in stays as it is even where the whole edit is a change of that: layers may
round what they are given to eight bits and less, and would round the change with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from comfy.patcher_extension import CallbacksMP
from torch import Tensor

from ...scapre.families import Part, by_weight, part
from ...scapre.methods.change import Change
from .adapter import Copies
from .chain import Beside, chain, left_of
from .projections import HostProjections
from .quantised import FLOATS


def stand_beside(clone: Any, copies: Copies, strength: float, names: Collection[str]) -> None:
    """Puts an edit beside the layers that hold some matrices of a model that was just cloned."""
    weights = by_weight(names)
    terms = _Terms(copies, names, {weight: chain(clone, weight) for weight in weights})
    places = {weight: len(clone.patches.get(weight, ())) for weight in weights}

    def put(model: Any) -> None:
        terms.put(model, {name: strength * left_of(edit, name, model.patches.get(name, [])) for name in weights})

    edit = Beside(copies, strength, names, places, put, terms.remove)
    # The host takes clones with injections of the same names for one model, and would not load the other.
    clone.set_injections(f"scapre {uuid.uuid4().hex}", [edit])
    _not_yet(clone, clone)
    clone.add_callback_with_key(CallbacksMP.ON_CLONE, "scapre beside", _not_yet)


def _not_yet(model: Any, clone: Any) -> None:
    """A clone says that it is injected where its origin is, and would take the edit off that when it is deleted."""
    clone.is_injected = False


class _Terms:
    """What is added to the answers of layers; its tensors are on a device only while it is there."""

    def __init__(self, copies: Copies, names: Collection[str], before: Mapping[str, list[Any]]) -> None:
        """Takes an edit, the matrices it changes, and what changes each weight before it."""
        self._copies, self._names, self._before = copies, names, before
        self._held: dict[str, Term] = {}
        self._handles: dict[int, list[Any]] = {}

    @torch.inference_mode(False)
    @torch.no_grad()
    def put(self, model: Any, strengths: Mapping[str, float]) -> None:
        """Puts it on the model's layers."""
        self.remove(model)
        if not self._held:  # the weights before the edit never become others
            self._held = evaluated(model, self._copies, self._names, self._before)
        moved, handles = Moved(model.load_device), self._handles.setdefault(id(model.model), [])
        for name, term in self._held.items():
            weight = part(name).weight
            if strengths[weight]:
                layer = model.model.get_submodule(weight.rpartition(".")[0])
                handles.append(layer.register_forward_hook(term.on(moved, strengths[weight])))

    def remove(self, model: Any) -> None:
        """Takes it off."""
        for handle in self._handles.pop(id(model.model), ()):
            handle.remove()


def evaluated(model: Any, copies: Copies, names: Collection[str], before: Mapping[str, list[Any]]) -> dict[str, Term]:
    """The changes of some matrices that an edit makes of their values, on the CPU in what the model computes in.

    Args:
        model: The MODEL.
        copies: The edit.
        names: Of the matrices.
        before: What changes each weight before the edit.
    """
    projections, held = HostProjections(model), Moved(torch.device("cpu"), _precision(model))
    terms = {}
    for weight, parts in by_weight(names).items():
        values = projections.computed(weight, model.load_device, before[weight])
        for which in parts:
            change = copies.change(which.name, which.of(values))
            terms[which.name] = Term.of(change, which, projections.shape(which.name), held)
    copies.drop()
    return terms


def _precision(model: Any) -> torch.dtype:
    """What the model computes in."""
    dtype = getattr(model.model, "manual_cast_dtype", None) or model.model.get_dtype()
    return dtype if dtype in FLOATS else torch.float32


class Moved:
    """Tensors on a device, each of them once."""

    def __init__(self, device: torch.device, dtype: torch.dtype | None = None) -> None:
        self._device, self._dtype = device, dtype
        self._there: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        """The tensor there."""
        if id(tensor) not in self._there:
            dtype = tensor.dtype if self._dtype is None or not tensor.is_floating_point() else self._dtype
            self._there[id(tensor)] = tensor, tensor.to(self._device, dtype)
        return self._there[id(tensor)][1]


@dataclass(frozen=True)
class Term:
    """The change of one matrix.

    Attributes:
        first: Its first row in the layer's weight: which of the layer's answers it begins with.
        weight: (n, k), or of a convolution (n, channels, *kernel).
        basis: (d, k) what makes k of the d numbers that go in.
        columns: Or which k of them it reads. All where both are None.
    """

    first: int
    weight: Tensor
    basis: Tensor | None = None
    columns: Tensor | None = None

    @classmethod
    def of(cls, change: Change, which: Part, shape: tuple[int, ...], held: Moved) -> Term:
        """A change, held somewhere."""
        (rows, width), basis, first = change.weight.shape, change.basis, which.index * len(change.weight)
        if which.columns:
            columns = torch.arange(which.columns, device=change.weight.device)
            return cls(first, held(change.dense()), None, held(columns))
        few = (rows * width) // (rows + width)  # more make factors larger than what they are factors of
        if len(shape) == 2 and change.rows is None and basis is not None and basis.shape[1] < few:
            return cls(first, held(change.coefficients), held(basis))
        dense = change.dense()
        if len(shape) > 2:
            return cls(first, held(dense.reshape(shape)))
        columns = dense.any(0).nonzero().flatten()
        if 2 * len(columns) > width:
            return cls(first, held(dense))
        return cls(first, held(dense[:, columns]), None, held(columns))

    def on(self, moved: Moved, strength: float) -> Callable[[Any, tuple[Any, ...], Tensor], Tensor]:
        """A hook that adds it to what a layer answers, with its tensors on a device."""
        weight, basis, columns = (None if t is None else moved(t) for t in (self.weight, self.basis, self.columns))
        assert weight is not None

        def added(module: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            states = inputs[0].to(weight.dtype)
            if weight.ndim > 2:
                found = module._conv_forward(states, weight, None)
            elif columns is not None:
                found = F.linear(states[..., columns], weight)
            else:
                found = F.linear(states if basis is None else states @ basis, weight)
            if weight.ndim == 2:  # one of several matrices, whose answers stand side by side
                found = F.pad(found, (self.first, output.shape[-1] - self.first - found.shape[-1]))
            return torch.add(output, found.to(output.dtype), alpha=strength)

        return added
