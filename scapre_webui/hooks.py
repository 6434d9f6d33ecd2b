"""An edit beside the layers that it changes: no weight is touched, so nothing has to be put back or is rounded.

Where W' = W (I + B) for all of them, what goes into the layers is changed, once for all that read the same: the weights
need not even be known, and may be quantised, or changed by others at any time. Other edits are added to what comes out,
as thin products where they are that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..scapre.edits.edit import Edit
from ..scapre.errors import ScaPreError
from .arithmetic import exact

Read = Callable[[str], Tensor]


class Hooks:
    """Puts an edit on modules and takes it off again."""

    def __init__(self, edit: Edit, strength: float) -> None:
        """Does nothing yet."""
        self._edit, self._strength = edit, strength
        self._handles: list[Any] = []

    def put(self, modules: Mapping[str, nn.Module], read: Read) -> None:
        """Puts the edit on.

        Args:
            modules: Of all projections, by the weights' names.
            read: Gives a weight, float32 on the CPU; asked only for edits that depend on weights.

        Raises:
            ScaPreError: If a projection is missing.
        """
        missing = self._edit.shapes.keys() - modules.keys()
        if missing:
            raise ScaPreError(f"model: it has no projection {min(missing)}. The edit was made for {self._edit.family}.")
        if self._edit.shift():
            shift = Shift(self._edit, self._strength)
            self._handles = [modules[name].register_forward_pre_hook(shift) for name in self._edit.shapes]
            return
        # A host may read a weight by calling its module, so all are read before the first hook is there.
        changes = {name: self._edit.change(name, read(name)) for name in self._edit.shapes}
        seen = {id(change.basis): Seen(change.basis) for change in changes.values()}
        for name, change in changes.items():
            added = Added(seen[id(change.basis)], change.coefficients, change.rows, self._strength)
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
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """What goes into the layer instead."""
        states, *rest = inputs
        if self._last is None or self._last[0] is not states:
            with exact():
                moved = self._on(states.device)(states.float())
                self._last = states, (states.float() + self._strength * moved).to(states.dtype)
        return (self._last[1], *rest)

    def _on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        if self._shift is None or device != self._device:
            self._device, self._shift = device, self._edit.to(device).shift()
        assert self._shift is not None
        return self._shift


class Seen:
    """States in a basis that several layers share, computed once."""

    def __init__(self, basis: Tensor | None) -> None:
        """Takes the basis (d, k); None is the identity."""
        self._basis = basis
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, states: Tensor, like: Tensor) -> Tensor:
        """States (…, k) for a layer that gives what is like that."""
        if self._basis is None:
            return states.to(like.dtype)
        if self._last is None or self._last[0] is not states or self._last[1].dtype != like.dtype:
            self._basis = self._basis.to(like)
            self._last = states, states.to(like.dtype) @ self._basis
        return self._last[1]


class Added:
    """s (W' - W) x beside a layer that gives W x: as thin as the change of its weight is, see `Change`."""

    def __init__(self, seen: Seen, coefficients: Tensor, rows: Tensor | None, strength: float) -> None:
        """Takes the parts of the change."""
        self._seen, self._coefficients = seen, strength * coefficients
        self._rows = None if rows is None else strength * rows

    @torch.no_grad()
    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """What comes out of the layer instead."""
        self._coefficients = self._coefficients.to(output)  # the same tensor again, but for the first time
        added = output + self._seen(inputs[0], output) @ self._coefficients.T
        if self._rows is None:
            return added
        self._rows = self._rows.to(output)
        return added.addcmul_(output, self._rows.T)
