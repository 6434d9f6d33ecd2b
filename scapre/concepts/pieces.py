"""Says which words of a name a text encoder's tokeniser cuts oddly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_BROKEN = "\N{REPLACEMENT CHARACTER}"  # what a part of a character's bytes reads as
_MANY = 4
_LETTERS = 2


def odd_words(words: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """The words that a tokeniser had no good pieces for; the model can hardly know them by this spelling.

    A word is cut oddly if a cut goes through a character, or if it has at least 4 pieces with fewer than 2 letters
    each on average. Rare names are cut into 2 or 3 pieces as a rule, and known to the model all the same.

    Args:
        words: Pieces of each word.
    """
    return [tuple(pieces) for pieces in words if _is_odd(pieces)]


def _is_odd(pieces: Sequence[str]) -> bool:
    if any(_BROKEN in piece for piece in pieces):
        return True
    return len(pieces) >= _MANY and sum(map(len, pieces)) < _LETTERS * len(pieces)
