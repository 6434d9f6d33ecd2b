"""How text encoders read: which tokens carry a text's words, and what stands before and behind them.

The engine knows one order, that of CLIP: a start, the words, an end, and padding up to a window. A reader brings the
states of its encoders into that order. A new kind of encoder is a module here and a line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .reader import Reader
from .sentences import SentenceReader
from .windows import WindowReader

__all__ = ["READERS", "Reader", "reader"]

# By what the host calls a part of the encoder.
READERS: Mapping[str, type[Reader]] = {
    **dict.fromkeys(("l", "h", "g"), WindowReader),
    **dict.fromkeys(("t5xxl", "umt5xxl", "t5base"), SentenceReader),
}


def reader(clip: Any, names: Iterable[str]) -> Reader | None:
    """The reader of a CLIP whose parts have these names; None if they have none, or several."""
    kinds = {READERS.get(name) for name in names}
    kind = kinds.pop() if len(kinds) == 1 else None
    return kind(clip) if kind else None
