"""An edit beside the layers that it changes: no weight is touched, so nothing has to be put back or is rounded.

Where W' = W (I + B) for all of them, what goes into the layers is changed, once for all that read the same: the weights
need not even be known, and may be quantised, or changed by others at any time. Other edits are added to what comes out,
as thin products where they are that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..scapre.edits.edit import Edit
from ..scapre.errors import ScaPreError
from ..scapre.methods.change import Change
from .arithmetic import exact

Read = Callable[[str], Tensor]

_KEPT = 4
"""Texts that are remembered: a prompt's parts and the negative prompt may come one after another at each step."""


class Hooks:
    """Puts an edit on modules and takes it off again."""

    def __init__(self, edit: Edit, strength: float) -> None:
        """Does nothing yet."""
        self._edit, self._strength = edit, strength
        self._handles: list[Any] = []

    def put(self, modules: Mapping[str, nn.Module], read: Read, text: Collection[str] | None = None) -> None:
        """Puts the edit on.

        Args:
            modules: Of all projections, by the weights' names.
            read: Gives a weight, float32 on the CPU; asked only for edits that depend on weights.
            text: Names of those that read the text, the same at every step; all of them where it is left out.

        Raises:
            ScaPreError: If a projection is missing.
        """
        missing = self._edit.matrices.keys() - modules.keys()
        if missing:
            raise ScaPreError(f"model: it has no projection {min(missing)}. The edit was made for {self._edit.family}.")
        if self._edit.shift():
            shift = Shift(self._edit, self._strength)
            self._handles = [modules[name].register_forward_pre_hook(shift) for name in self._edit.matrices]
            return
        # A host may read a weight by calling its module, so all are read before the first hook is there.
        changes = {name: self._edit.change(name, read(name)) for name in self._edit.matrices}
        bases, known = {id(change.basis): Basis(change.basis) for change in changes.values()}, Known()
        for name, change in changes.items():
            again = known if text is None or name in text else None
            added = Added(bases[id(change.basis)], again, change, self._strength)
            self._handles.append(modules[name].register_forward_hook(added))

    def remove(self) -> None:
        """Takes it off; the modules are as before."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


class Shift:
    """(I + s B) x for the states x that several layers read, computed once."""

    def __init__(self, edit: Edit, strength: float) -> None:
        """Takes an edit that is W' = W (I + B)."""
        self._edit, self._strength = edit, strength
        self._device: torch.device | None = None
        self._shift: Callable[[Tensor], Tensor] | None = None
        self._known = Known()

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """What goes into the layer instead."""
        states, *rest = inputs
        return (self._known(states).get(self, lambda: self._moved(states)), *rest)

    def _moved(self, states: Tensor) -> Tensor:
        with exact():
            moved = self._on(states.device)(states.float())
            return (states.float() + self._strength * moved).to(states.dtype)

    def _on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        if self._shift is None or device != self._device:
            self._device, self._shift = device, self._edit.to(device).shift()
        assert self._shift is not None
        return self._shift


class Added:
    """s (W' - W) x beside a layer that gives W x: as thin as the change of its weight is, see `Change`."""

    def __init__(self, basis: Basis, known: Known | None, change: Change, strength: float) -> None:
        """Takes the change of the layer's weight, and what it shares with the layers that read the same."""
        self._basis, self._known = basis, known
        self._coefficients = strength * change.coefficients
        self._rows = None if change.rows is None else strength * change.rows

    @torch.no_grad()
    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """What comes out of the layer instead."""
        self._coefficients = self._coefficients.to(output)  # the same tensor again, but for the first time
        added = output + self._product(inputs[0], output)
        if self._rows is None:
            return added
        self._rows = self._rows.to(output)
        return added.addcmul_(output, self._rows.T)

    def _product(self, states: Tensor, like: Tensor) -> Tensor:
        if self._known is None:
            return self._basis(states, like) @ self._coefficients.T
        results = self._known(states)

        def product() -> Tensor:
            seen = results.get((self._basis, like.dtype), lambda: self._basis(states, like))
            return seen @ self._coefficients.T

        return results.get((self, like.dtype), product) if results.lasting else product()


class Basis:
    """A basis that several layers share."""

    def __init__(self, vectors: Tensor | None) -> None:
        """Takes the basis (d, k); None is the identity."""
        self._vectors = vectors

    def __call__(self, states: Tensor, like: Tensor) -> Tensor:
        """States (…, k) in the basis, for a layer that gives what is like that."""
        if self._vectors is None:
            return states.to(like.dtype)
        self._vectors = self._vectors.to(like)
        return states.to(like.dtype) @ self._vectors


class Results:
    """What was computed of some states.

    Attributes:
        lasting: Whether equal states find it again at the next step, so that what one layer needs is worth keeping.
    """

    def __init__(self, states: Tensor) -> None:
        """Nothing yet."""
        self.lasting = states.device.type == "cpu"  # elsewhere a comparison would wait for all that is under way
        self._states, self._version = states, _version(states)
        self._values = states.clone() if self.lasting else None
        self._found: dict[Hashable, Tensor] = {}

    def fit(self, states: Tensor) -> bool:
        """Whether it was computed of just these states: the same tensor, or where that is cheap, equal values."""
        if self._states is states and (self._values is None or self._version is not None):
            return self._version == _version(states)
        if self._values is None or not _equal(self._values, states):
            return False
        self._states, self._version = states, _version(states)  # the next layer's question is answered sooner
        return True

    def get(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """A result, computed where it is not there yet."""
        if key not in self._found:
            self._found[key] = compute()
        return self._found[key]


class Known:
    """Results for the last few states: hosts join a picture's texts anew for every step, to what they were before."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._results: list[Results] = []

    def __call__(self, states: Tensor) -> Results:
        """Results for these states, the same ones for as long as they come again."""
        for number, results in enumerate(self._results):
            if results.fit(states):
                self._results.insert(0, self._results.pop(number))
                break
        else:
            kept = _KEPT if states.device.type == "cpu" else 1
            self._results = [Results(states), *self._results[: kept - 1]]
        return self._results[0]


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.device == other.device and one.dtype == other.dtype and torch.equal(one, other)


def _version(states: Tensor) -> int | None:
    """How often a tensor was written to; tensors of inference do not count."""
    return None if states.is_inference() else states._version
