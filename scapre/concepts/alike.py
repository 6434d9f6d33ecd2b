"""Words that text encoders answered like a name in runs of this session: the editors of names offer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from .aliases import aliases
from .names import normalise

_MOST = 2000
_found: dict[str, tuple[str, ...]] = {}
_turn = Lock()


def remember(alike: Mapping[str, Sequence[str]]) -> None:
    """Takes what a run has found of its names; the names of the latest runs are kept."""
    with _turn:
        for name, words in alike.items():
            _found.pop(normalise(name), None)
            _found[normalise(name)] = tuple(words)
        for name in list(_found)[:-_MOST]:
            del _found[name]


def alike(name: str) -> tuple[str, ...]:
    """Words that call up the same as a name: as a run has found, and as was measured on Stable Diffusion 1.4."""
    return tuple(dict.fromkeys((*_found.get(normalise(name), ()), *aliases(name))))
