"""What the matrices of a model are for, and how a method reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Protocol

import torch
from torch import Tensor


class Role(str, Enum):
    """What a matrix is for. Families declare it, and a method says which roles it edits."""

    KEY = "cross-attention key"
    VALUE = "cross-attention value"
    INPUT = "text input"
    POOLED = "pooled text"
    LAYER = "layer of a language model"
    QUERY = "cross-attention query"
    ANSWER = "cross-attention output"
    FEED_FORWARD = "feed-forward output"
    OTHER = "other layer"

    @property
    def reads_text(self) -> bool:
        """Whether such a matrix reads the states of the text's tokens."""
        return self in TEXT


TEXT = frozenset({Role.KEY, Role.VALUE, Role.INPUT})
VALUES = frozenset({Role.VALUE, Role.INPUT})
"""What reads the text's tokens, and that part of it which says what to draw rather than where. Where text and picture
attend to each other, the text's first projection is all that reads them."""


class Projections(Protocol):
    """The matrices of a model that edits can change, read one at a time; hosts provide it."""

    @property
    def family(self) -> str:
        """Title of the model's family."""
        ...

    @property
    def roles(self) -> Mapping[str, Role]:
        """Role of each matrix by its name, in the model's order; see `parts` for matrices that share a weight."""
        ...

    def read(self, name: str, device: torch.device) -> Tensor:
        """The current weight of one matrix, (n, d), on a device, in its own or a wider float dtype.

        A convolution's is flattened after its first dimension.
        """
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the model keeps a matrix in: (n, d), or of a convolution (n, channels, *kernel)."""
        ...


def having(projections: Projections, roles: Collection[Role]) -> tuple[str, ...]:
    """Names of the matrices that have one of some roles, in the model's order."""
    return tuple(name for name, role in projections.roles.items() if role in roles)
