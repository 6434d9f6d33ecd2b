"""Words that a text encoder answers like a name: unless they are erased with it, what they call up stays."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .names import normalise

_CLOSE = 87  # hundredths: what is offered; from 85 on nothing is held
_FILE = Path(__file__).with_name("aliases.txt")


@cache
def _table() -> Mapping[str, tuple[tuple[str, int], ...]]:
    found = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        word, tab, rest = line.partition("\t")
        if tab:
            parts = rest.split()
            found[word] = tuple(zip(parts[::2], map(int, parts[1::2]), strict=True))
    return found


def aliases(name: str) -> tuple[str, ...]:
    """Words that are answered nearly like a name of one word, the nearest first; none for other names.

    They were measured on the text encoder of Stable Diffusion 1.4, which most models share.
    """
    return tuple(word for word, near in _table().get(normalise(name), ()) if near >= _CLOSE)


def alike(name: str) -> tuple[str, ...]:
    """Words so near to the last word of a name that what holds them would hold the name."""
    words = normalise(name).split()
    return tuple(word for word, _ in _table().get(words[-1], ())) if words else ()
