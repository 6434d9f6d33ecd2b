"""What a model reads of a text beside its tokens' states, through matrices of their own: each has a part in an edit.

A pooled vector is one vector of the whole text. Layers of a language model are states of the text's tokens like any
others, of which each has its own matrices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..families import Projections, Role, layers, leaks, place
from .encoder import Encoder
from .pooled import PooledEncoder, Pools

CHOICES = ("auto", "on", "off")
"""Of the pooled vector. Layers are words, and are always edited."""
POOLED, _LAYER = "pooled", "layer "
"""What parts of an edit are called; a layer by its number, from 0."""


@runtime_checkable
class Layered(Protocol):
    """An encoder with a language model beside it, of which a model reads many layers."""

    def layer(self, number: int) -> Encoder:
        """What reads the states behind one of them, from 0.

        Raises:
            ScaPreError: If it has no language model.
        """
        ...


def chosen(choice: str, projections: Projections) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What of a model's is edited beside the words, and what to say of that.

    Args:
        choice: One of `CHOICES`.
        projections: Of the model.

    Raises:
        ScaPreError: For an unknown choice.
    """
    if choice not in CHOICES:
        raise ScaPreError(f"pooled: {shorten(choice)} is unknown. Choose one of {', '.join(CHOICES)}.")
    always = tuple(f"{_LAYER}{number}" for number in layers(projections.family, projections.roles))
    there = Role.POOLED in projections.roles.values()
    if choice == "on" and not there:
        return always, (f"pooled: {projections.family} models read no pooled vector of a text, so it changes nothing",)
    leaky = there and leaks(projections.family)
    if choice == "off" and leaky:
        return always, (f"pooled: it is off, and {projections.family} models also draw names from the pooled vector",)
    vector = (POOLED,) if there and choice != "off" and (choice == "on" or leaky) else ()
    return (*vector, *always), ()


def is_layer(name: str) -> bool:
    """Whether a part is a layer's."""
    number = name.removeprefix(_LAYER)
    return number.isdecimal() and name == f"{_LAYER}{int(number)}"


def title(name: str) -> str:
    """What a part's kind is called for people."""
    return "layers of the language model" if is_layer(name) else "pooled vector"


def titles(names: Iterable[str]) -> list[str]:
    """The same of several, each kind once, in a sentence."""
    return list(dict.fromkeys(f"the {title(name)}" for name in names))


def order(name: str) -> int:
    """Where a part stands among the others."""
    return int(name.removeprefix(_LAYER)) if is_layer(name) else -1


def role_of(name: str) -> Role:
    """The role of a part's matrices."""
    return Role.POOLED if name == POOLED else Role.LAYER


def belongs(name: str, family: str, matrix: str) -> bool:
    """Whether a matrix of a family of models is one of a part's."""
    read = layers(family, {matrix: Role.LAYER}) if place(family, matrix).role is Role.LAYER else ()
    return list(read) == ([order(name)] if is_layer(name) else [])


def further_encoder(encoder: Encoder, name: str) -> Encoder:
    """What reads a part of an edit.

    Raises:
        ScaPreError: If this encoder does not give it.
    """
    if name == POOLED and isinstance(encoder, Pools):
        return PooledEncoder(encoder, encoder.pooled)
    if name == POOLED:
        raise ScaPreError("pooled: this text encoder gives no pooled vector of a text. Choose auto or off.")
    if isinstance(encoder, Layered):
        return encoder.layer(int(name.removeprefix(_LAYER)))
    raise ScaPreError(
        "clip: this text encoder has no layers of a language model beside it, which the model reads. Connect the text "
        "encoders that belong to the model."
    )


class FurtherProjections:
    """A model's matrices that read a part's states, as if they were values: so methods need not know of them."""

    def __init__(self, projections: Projections, name: str) -> None:
        """Takes all of the model's, and the part."""
        self._whole = projections
        self.family = projections.family
        self.roles = dict.fromkeys(_names(projections, name), Role.VALUE)

    def read(self, name: str, device: torch.device) -> Tensor:
        """See `Projections`."""
        return self._whole.read(name, device)

    def shape(self, name: str) -> tuple[int, ...]:
        """See `Projections`."""
        return self._whole.shape(name)


def _names(projections: Projections, name: str) -> tuple[str, ...]:
    if name == POOLED:
        return tuple(weight for weight, role in projections.roles.items() if role is Role.POOLED)
    return layers(projections.family, projections.roles).get(int(name.removeprefix(_LAYER)), ())
