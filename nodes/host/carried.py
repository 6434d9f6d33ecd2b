"""The edits that a model carries already, wherever the host keeps its patches.

The host keeps a list of patches for each weight: (strength, value, strength of the weight, offset, function). The value
is a LoRA, an EditPatch, or for a merge a list: the other model's weight, and that model's own patches, which may hold
merges again. Weights that are scheduled have further lists, by hook. Edits beside layers are in none: see `chain`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...scapre.edits.edit import Edit
from ...scapre.families import by_weight
from .adapter import EditPatch
from .chain import chains
from .device import compute_device
from .projections import HostProjections

ITSELF, MERGED, HOOKED = "already", "inside a merge", "in a hook"


@dataclass(frozen=True)
class Carried:
    """An edit that a model carries.

    Attributes:
        edit: The edit.
        where: `ITSELF`: on all of its weights, and nothing is merged over it. `MERGED`: some share of it on some of its
            weights. `HOOKED`: only while the host applies a hook.
    """

    edit: Edit
    where: str


def carried(model: Any) -> Iterator[Carried]:
    """The edits that change what a model computes; one that a merge leaves nothing of is not among them."""
    entries = chains(model)
    found = {name: list(_edits(held)) for name, held in entries.items()}
    for kind in _kinds(edit for held in found.values() for edit, _ in held):
        some = {name: [merged for edit, merged in held if id(edit) in kind] for name, held in found.items()}
        names, edit = [name for name, held in some.items() if held], next(iter(kind.values()))
        if _acts(model, kind, {name: entries[name] for name in names}):
            own = all(False in some.get(weight, ()) for weight in by_weight(edit.matrices))
            yield Carried(edit, ITSELF if own else MERGED)
    scheduled = (entries for hook in model.hook_patches.values() for entries in hook.values())
    for kind in _kinds(edit for entries in scheduled for edit, _ in _edits(entries)):
        yield Carried(next(iter(kind.values())), HOOKED)


def _edits(entries: Sequence[Any], merged: bool = False) -> Iterator[tuple[Edit, bool]]:
    """The edits in one weight's patches that can have an effect, and whether a merge has a part in it."""
    acting = _acting(entries)
    for place, (_, value, *_) in enumerate(acting):
        if isinstance(value, EditPatch):
            yield value.edit, merged or any(isinstance(later[1], list) for later in acting[place + 1 :])
        elif isinstance(value, list):
            yield from _edits(value[1:], True)


def _acting(entries: Sequence[Any]) -> list[Any]:
    """The patches without those of strength 0, and without what a later one leaves nothing of."""
    acting: list[Any] = []
    for entry in entries:
        strength, value, kept, offset, *_ = entry
        replaced = isinstance(value, tuple) and len(value) == 2 and value[0] == "set"
        if offset is None and (kept == 0 or replaced):
            acting.clear()
        if strength or replaced:
            acting.append(entry)
    return acting


def _kinds(edits: Iterable[Edit]) -> list[dict[int, Edit]]:
    """Edits that do the same, together and by identity: there may be many of one, as each Load Edit makes its own."""
    kinds: list[dict[int, Edit]] = []
    for key, edit in {id(edit): edit for edit in edits}.items():
        known = next((kind for kind in kinds if next(iter(kind.values())).same_as(edit)), None)
        if known is None:
            kinds.append(known := {})
        known[key] = edit
    return kinds


def _acts(model: Any, kind: Container[int], entries: Mapping[str, Sequence[Any]]) -> bool:
    """Whether any weight is another one without the edit: the host adds patches up, and they may cancel out."""
    projections, device = HostProjections(model), compute_device("auto")

    def weight(name: str, entries: Sequence[Any]) -> Tensor:
        return projections.computed(name, device, entries)

    return any(
        not torch.equal(weight(name, held), weight(name, _without(held, kind))) for name, held in entries.items()
    )


def _without(entries: Sequence[Any], kind: Container[int]) -> list[Any]:
    """The patches with the edit at strength 0, in merged models too."""
    left = []
    for strength, value, *rest in entries:
        if isinstance(value, EditPatch) and id(value.edit) in kind:
            strength = 0.0  # and not left out: scaling the weight before it is the host's and not the edit's doing
        elif isinstance(value, list):
            value = [value[0], *_without(value[1:], kind)]
        left.append((strength, value, *rest))
    return left
