"""What a method hands to an edit: tensors, and what they must be wherever they come from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Payload:
    """The tensors of an edit, from which its method evaluates a change.

    Attributes:
        shared: What all matrices share, by the method's names.
        matrices: What belongs to one matrix, by the matrix's name; empty tables where all is shared.
    """

    shared: Tensors
    matrices: Mapping[str, Tensors]

    def __post_init__(self) -> None:
        """Closes the mappings; an edit is shared by every model that carries it."""
        object.__setattr__(self, "shared", MappingProxyType(dict(self.shared)))
        own = {name: MappingProxyType(dict(values)) for name, values in self.matrices.items()}
        object.__setattr__(self, "matrices", MappingProxyType(own))

    def __iter__(self) -> Iterator[Tensor]:
        """Every tensor."""
        yield from self.shared.values()
        for own in self.matrices.values():
            yield from own.values()

    def to(self, device: torch.device | str) -> Payload:
        """The same tensors on a device."""
        return Payload(
            {key: value.to(device) for key, value in self.shared.items()},
            {name: {key: value.to(device) for key, value in own.items()} for name, own in self.matrices.items()},
        )

    def same_as(self, other: Payload) -> bool:
        """Whether two payloads agree in every name and bit; both on the CPU."""
        mine, its = (
            {None: payload.shared, **payload.matrices} for payload in (self, other)
        )  # fmt: skip
        return mine.keys() == its.keys() and all(_same(own, its[name]) for name, own in mine.items())


def _same(mine: Tensors, its: Tensors) -> bool:
    return mine.keys() == its.keys() and all(torch.equal(value, its[key]) for key, value in mine.items())


@dataclass(frozen=True)
class Kind:
    """What a tensor must be.

    Attributes:
        dtype: Its dtype; None is float32 or float64, whichever the other such tensors have.
        shape: A letter for each of its dimensions; one letter is one number throughout the edit, but for the letters
            that only tensors of single matrices have, which are one number a matrix. n x d is a matrix's shape, m the
            number of pairs of a concept and its anchor, and u that of concepts and preserved names.
        least: No value is less.
        most: No value is greater.
        index: Letter of the dimension that its values count, if they do.
        empty: Letter of the dimension that may have nothing in it.
    """

    dtype: torch.dtype | None
    shape: str
    least: float = -math.inf
    most: float = math.inf
    index: str = ""
    empty: str = ""


@dataclass(frozen=True)
class Layout:
    """Kinds of a payload's tensors, `shared` and of each matrix, `own`."""

    shared: Mapping[str, Kind] = field(default_factory=dict)
    own: Mapping[str, Kind] = field(default_factory=dict)
