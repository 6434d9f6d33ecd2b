"""Transformers that are rows of like blocks: what the layers of a block are for, and where a matrix is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from .parts import Part, part
from .roles import Role

Roles = Role | tuple[Role, ...]
"""Of a weight: one, or several where it holds as many matrices, one under the other."""


@dataclass(frozen=True)
class Blocks:
    """How a family names its matrices.

    Attributes:
        pattern: What names of a block begin with, inside the model; its groups are its kind, if any, and its number.
        layers: Roles by what stands between that and `.weight`.
    """

    pattern: str
    layers: Mapping[str, Roles]

    def roles(self, parameters: Iterable[str]) -> dict[str, Role]:
        """Role of each matrix in the blocks, in the model's order."""
        found: dict[str, Role] = {}
        for name in parameters:
            if match := self._name.fullmatch(name):
                kinds = self.layers[match["layer"]]
                kinds = kinds if isinstance(kinds, tuple) else (kinds,)
                found |= {Part(name, index, len(kinds)).name: kind for index, kind in enumerate(kinds)}
        return found

    def place(self, name: str) -> tuple[str, str, Role] | None:
        """A matrix's block, its label and its role; None for another name."""
        which = part(name)
        match = self._name.fullmatch(which.weight)
        if not match:
            return None
        kinds = self.layers[match["layer"]]
        role = kinds[which.index] if isinstance(kinds, tuple) else kinds
        *kind, number = match.groups()[1:-1]
        return match["block"], " ".join(filter(None, (*kind, "block", number))), role

    @cached_property
    def _name(self) -> re.Pattern[str]:
        layers = "|".join(map(re.escape, sorted(self.layers, key=len, reverse=True)))
        return re.compile(rf"(?P<block>diffusion_model\.{self.pattern})\.(?P<layer>{layers})\.weight")
