"""Models whose text enters through first matrices alone: behind those it goes its way together with the picture.

So what a prompt says is a fixed function of the prompt there and nowhere else, and that is where names are erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .blocks import Blocks
from .family import Family, TextEncoder
from .roles import Role

_START, _END = "diffusion_model.", ".weight"
LABELS = {
    Role.INPUT: "words", Role.POOLED: "pooled vector", Role.VALUE: "pooled vector", Role.LAYER: "language model",
}  # fmt: skip
"""What enters through a matrix, for people."""


@dataclass(frozen=True)
class Inputs:
    """How a family names its first matrices.

    Attributes:
        layers: Roles by name inside the model, without `.weight`.
        blocks: Its other matrices that can be changed, if any.
        labels: What enters, where it is not what `LABELS` says.
    """

    layers: Mapping[str, Role]
    blocks: Blocks | None = None
    labels: Mapping[str, str] | None = None

    def roles(self, parameters: Iterable[str]) -> dict[str, Role]:
        """Role of each matrix, in the model's order."""
        found: dict[str, Role] = {}
        for name in parameters:
            if role := self.layers.get(self._layer(name)):
                found[name] = role
            elif self.blocks:
                found |= self.blocks.roles([name])
        return found

    def place(self, name: str) -> tuple[str, str, Role] | None:
        """A matrix's layer, its label and its role; None for another name."""
        layer = self._layer(name)
        if role := self.layers.get(layer):
            return name.removesuffix(_END), (self.labels or {}).get(layer, LABELS[role]), role
        return self.blocks.place(name) if self.blocks else None

    @staticmethod
    def _layer(name: str) -> str:
        return name.removeprefix(_START).removesuffix(_END) if name.endswith(_END) else ""


def of_inputs(titles: Mapping[str, str], inputs: Inputs, encoder: TextEncoder, **more: Any) -> dict[str, Family]:
    """Families by the class that ComfyUI detects a checkpoint as; see `of_blocks`."""
    return {name: Family(title, inputs.roles, inputs.place, encoder, **more) for name, title in titles.items()}
