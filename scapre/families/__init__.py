"""Model families and where their text projections are. A new family is a module here and a line in `FAMILIES`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from ..errors import ScaPreError, shorten
from . import (
    ace_step,
    aura_flow,
    cosmos,
    flux,
    flux2,
    hidream,
    hunyuan_dit,
    hunyuan_video,
    kandinsky,
    ltxv,
    lumina,
    mochi,
    omnigen2,
    pixart,
    qwen_image,
    stable_audio,
    stable_cascade,
    stable_diffusion,
    stable_diffusion_3,
    wan,
)
from .contexts import Context, Read
from .family import CLIP, Family, Files, TextEncoder
from .gaps import missing
from .parts import Part, by_weight, part
from .roles import TEXT, VALUES, Projections, Role, having

__all__ = [
    "CLIP",
    "FAMILIES",
    "TEXT",
    "VALUES",
    "Context",
    "Family",
    "Files",
    "Part",
    "Place",
    "Projections",
    "Role",
    "TextEncoder",
    "adapter",
    "by_weight",
    "contexts",
    "find_projections",
    "having",
    "layers",
    "leaks",
    "note",
    "of_vectors",
    "padding",
    "part",
    "place",
    "side",
    "supported",
    "text_encoder",
]

# By the class that ComfyUI detects a checkpoint as.
FAMILIES: Mapping[str, Family] = {
    **stable_diffusion.FAMILIES,
    **pixart.FAMILIES,
    **hunyuan_dit.FAMILIES,
    **wan.FAMILIES,
    **ltxv.FAMILIES,
    **cosmos.FAMILIES,
    **stable_audio.FAMILIES,
    **ace_step.FAMILIES,
    **stable_cascade.FAMILIES,
    **stable_diffusion_3.FAMILIES,
    **flux.FAMILIES,
    **flux2.FAMILIES,
    **qwen_image.FAMILIES,
    **lumina.FAMILIES,
    **hunyuan_video.FAMILIES,
    **omnigen2.FAMILIES,
    **kandinsky.FAMILIES,
    **aura_flow.FAMILIES,
    **mochi.FAMILIES,
    **hidream.FAMILIES,
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
        ScaPreError: For a family that is not supported, or a model without text projections, or without some.
    """
    if detected not in FAMILIES:
        raise ScaPreError(f"{field}: {detected} models are not supported. Supported: {supported()}.")
    family = FAMILIES[detected]
    found = family.roles(parameters)
    if not any(role.reads_text for role in found.values()):
        raise ScaPreError(
            f"{field}: this {family.title} model has no text cross-attention, so there is nothing to edit."
        )
    if lacking := missing(found, family.place):
        raise ScaPreError(
            f"{field}: it has no {lacking}, which other blocks of this {family.title} model have. The file is damaged "
            "or not whole; get it again."
        )
    return family.title, found


def side(title: str) -> int:
    """Pixels of a side that a family of this title draws at."""
    return _titled(title).side


def text_encoder(title: str) -> TextEncoder:
    """What reads the prompts of a family of this title."""
    return _titled(title).encoder


def adapter(title: str) -> str:
    """Name of a network in models of a family that hosts run on the encoder's states; empty for none."""
    return _titled(title).adapter


def leaks(title: str) -> bool:
    """Whether names of a family are erased from the pooled vector, too, unless it is forbidden; see `Family`."""
    return _titled(title).leaks


def of_vectors(title: str) -> bool:
    """Whether the projections of a family read a text's pooled vector and nothing else of it."""
    return _titled(title).of_vectors


def layers(title: str, roles: Mapping[str, Role]) -> Mapping[int, tuple[str, ...]]:
    """Names of the matrices that read a layer of a language model, by the layer, from the first one on.

    Args:
        title: Of the model's family.
        roles: Role of each matrix by its name.
    """
    layer = _titled(title).layer
    found: dict[int, list[str]] = {}
    for name in (name for name, role in roles.items() if role is Role.LAYER):
        found.setdefault(layer(name) if layer else 0, []).append(name)
    return {number: tuple(found[number]) for number in sorted(found)}


def note(title: str) -> str:
    """What users should know of the way that the text of a family goes; empty for nothing."""
    return _titled(title).note


def contexts(title: str, read: Read) -> tuple[Context | None, Context | None]:
    """What lies between the states of each text encoder and a model's projections, from its own weights.

    Args:
        title: Of the model's family.
        read: Reads its parameters.

    Returns:
        For the first encoder and for the second one, if there is one; None for nothing.

    Raises:
        ScaPreError: If a weight of it is missing, quantised or not finite, or does not fit the others.
    """
    family = _titled(title)
    first, second = (leads(read) if leads else None for leads in (family.context, family.second))
    return first, second


def padding(title: str, read: Read) -> Tensor | None:
    """What a model of a family puts where a text has no tokens, (rows, d), float32; None for nothing of its own."""
    name = _titled(title).padding
    return read(f"diffusion_model.{name}") if name else None


def _titled(title: str) -> Family:
    found = next((family for family in FAMILIES.values() if family.title == title), None)
    if found is None:
        raise ScaPreError(
            f"edit: it was made for {shorten(title)} models, which this version of the pack does not know. Update the "
            "pack."
        )
    return found


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
