"""Checks a list of names as an editor shows it: what the parser says, and how the text encoder reads each name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from .alike import alike
from .names import normalise
from .pieces import BROKEN, Cut, odd_words
from .readings import literal
from .review import Row, read_line, review
from .spelling import plain

_REMEMBERED = 20_000  # names, so that a keystroke in a list of thousands costs one of them
_SHOWN = 4  # aliases of a name
_REPEATS = ("duplicate", "conflict", "preserved")


@dataclass(frozen=True)
class Measure:
    """A name as the text encoder reads it.

    Attributes:
        words: Pieces of each word.
        ids: Their numbers.
        fits: Whether they are no more than it reads at once.
        window: How many it reads at once.
        cut: By what kind of vocabulary; of CLIP's the aliases are known.
    """

    words: tuple[tuple[str, ...], ...]
    ids: tuple[int, ...]
    fits: bool
    window: int
    cut: Cut = Cut.CLIP

    @property
    def tokens(self) -> int:
        """How many pieces there are."""
        return sum(map(len, self.words))


class NameCheck:
    """Reviews lists, and remembers what it has read of their lines."""

    def __init__(self, measure: Callable[[str], Measure]) -> None:
        """Takes what cuts a name as the text encoder does."""
        self._read = lru_cache(_REMEMBERED)(read_line)
        self._measure = lru_cache(_REMEMBERED)(measure)

    def check(self, concepts: str, anchor: str, preserve: str) -> dict[str, Any]:
        """What to know about a list, as JSON: an error or none, and a row for each line that names something."""
        found = review(concepts, anchor, preserve, self._read)
        shape = found.shape and asdict(found.shape)
        there = {normalise(row.concept.text) for row in found.rows if row.concept}
        return {"error": found.error, "shape": shape, "rows": [self._row(row, there) for row in found.rows]}

    def _row(self, row: Row, there: Collection[str]) -> dict[str, Any]:
        if row.concept is None:
            return {"line": row.line, "notes": row.notes}
        name, anchor = self._measure(row.concept.text), self._measure(row.concept.anchor)
        spelled = plain(row.concept.text)
        other = spelled != row.concept.text and self._measure(spelled).ids != name.ids
        notes = [*row.notes, *([{"kind": "spelling", "plain": literal(spelled)}] if other else [])]
        odd = odd_words(name.words, name.cut) if name.ids else [(BROKEN,)]  # some vocabularies drop what they lack
        notes += [{"kind": "odd", "pieces": word} for word in odd]
        too_long = (one for one in (name, anchor) if not one.fits)
        notes += [{"kind": "long", "tokens": one.tokens, "window": one.window} for one in too_long]
        offered = name.cut is Cut.CLIP and not any(note["kind"] in _REPEATS for note in row.notes)
        others = [word for word in alike(row.concept.text) if word not in there and offered]
        notes += [{"kind": "alias", "names": others[:_SHOWN]}] if others else []
        pieces = [piece for word in name.words for piece in word]
        return {"line": row.line, "tokens": name.tokens, "pieces": pieces, "notes": notes}
