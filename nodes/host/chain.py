"""All that changes a weight, in the order of the nodes: the host's patches, and edits that stand beside its layer.

An edit of a quantised weight is no patch: the host would round the edited weight back to its storage. It is an
injection of the MODEL, which knows how many patches each weight had when it came, and so its place among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from comfy.patcher_extension import PatcherInjection

from ...scapre.families import by_weight
from .adapter import Copies, offset_of


class Beside(PatcherInjection):
    """An edit that stands beside layers.

    Attributes:
        edit: The edit.
        entries: It as the host's patches of each weight, by the weight's name: one for each of its matrices.
        places: How many of the host's patches come before it, by the weight's name.
    """

    def __init__(
        self, copies: Copies, strength: float, names: Iterable[str], places: Mapping[str, int],
        inject: Callable[[Any], None], eject: Callable[[Any], None],
    ) -> None:  # fmt: skip
        """Takes an edit of some matrices, and what the host calls to put it on and to take it off."""
        super().__init__(inject, eject)
        self.edit, self.places = copies.edit, dict(places)
        self.entries = {
            weight: [(strength, copies.patch(p.name), 1.0, offset_of(p.name, copies.edit), None) for p in parts]
            for weight, parts in by_weight(names).items()
        }


def chain(model: Any, name: str) -> list[Any]:
    """The host's entries of a weight and those of edits beside its layer, each in its place."""
    entries, moved = list(model.patches.get(name, ())), 0
    for edit in beside(model):
        if name in edit.places:  # what stands before it has moved it on
            place = edit.places[name] + moved
            entries[place:place] = edit.entries[name]
            moved += len(edit.entries[name])
    return entries


def chains(model: Any) -> dict[str, list[Any]]:
    """The chains of all weights that anything changes."""
    names = dict.fromkeys([*model.patches, *(name for edit in beside(model) for name in edit.places)])
    return {name: chain(model, name) for name in names}


def beside(model: Any) -> Iterator[Beside]:
    """The edits that stand beside a model's layers, in the order in which they came."""
    found = (injection for injections in model.injections.values() for injection in injections)
    return (injection for injection in found if isinstance(injection, Beside))


def left_of(edit: Beside, name: str, entries: list[Any]) -> float:
    """The share of an edit that the host's later patches leave: merges scale what was there before them."""
    share = 1.0
    for _, value, kept, offset, *_ in entries[edit.places[name] :]:
        if offset is None:
            replaced = isinstance(value, tuple) and len(value) == 2 and value[0] == "set"
            share *= 0.0 if replaced else kept
    return share
