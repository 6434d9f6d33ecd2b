"""Model families and where their text projections are. A new family is a module here and a line in `FAMILIES`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ScaPreError
from . import stable_diffusion
from .roles import Projections, Role, having

__all__ = [
    "FAMILIES",
    "Family",
    "Place",
    "Projections",
    "Role",
    "find_projections",
    "having",
    "place",
    "side",
    "supported",
]


@dataclass(frozen=True)
class Family:
    """A family of models whose text enters through linear projections of the encoder's states.

    Attributes:
        title: Name for people.
        roles: Finds the projections among a model's parameter names, and what each is for, in the model's order.
        place: Tells a projection's layer, how people call it, and its role.
        side: Pixels of a side that it draws at.
    """

    title: str
    roles: Callable[[Iterable[str]], Mapping[str, Role]]
    place: Callable[[str], tuple[str, str, Role] | None]
    side: int


# By the class that ComfyUI detects a checkpoint as.
FAMILIES: Mapping[str, Family] = {
    name: Family(title, stable_diffusion.roles, stable_diffusion.place, stable_diffusion.SIDES.get(title, 1024))
    for name, title in stable_diffusion.TITLES.items()
}


def supported() -> str:
    """The supported families, for messages."""
    return ", ".join(dict.fromkeys(family.title for family in FAMILIES.values()))


def find_projections(detected: str, parameters: Iterable[str], field: str = "model") -> tuple[str, Mapping[str, Role]]:
    """Title of a detected family, and the roles of its text projections by name, in the model's order.

    Args:
        detected: Name of the detected class.
        parameters: All parameter names of the model.
        field: The input that names the model, for messages.

    Raises:
        ScaPreError: For a family that is not supported, or a model without text projections.
    """
    if detected not in FAMILIES:
        raise ScaPreError(f"{field}: {detected} models are not supported. Supported: {supported()}.")
    family = FAMILIES[detected]
    found = family.roles(parameters)
    if not any(role.reads_text for role in found.values()):
        raise ScaPreError(
            f"{field}: this {family.title} model has no text cross-attention, so there is nothing to edit."
        )
    return family.title, found


def side(title: str) -> int:
    """Pixels of a side that a family of this title draws at."""
    return next(family.side for family in FAMILIES.values() if family.title == title)


class Place(NamedTuple):
    """Where a projection is: in which layer, how people call that, and what it is there."""

    layer: str
    label: str
    role: Role


def place(title: str, name: str) -> Place:
    """Where a projection is; a name that its family does not know is a layer of its own, with a value alone.

    Args:
        title: Of the family.
        name: Of the projection.
    """
    family = next((family for family in FAMILIES.values() if family.title == title), None)
    found = family and family.place(name)
    return Place(*found) if found else Place(name, name.removesuffix(".weight"), Role.VALUE)
