"""Checks a list of names as the page shows it: what the parser says, and how the text encoder reads each name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from ...scapre.concepts.names import normalise
from ...scapre.concepts.pieces import odd_words
from ...scapre.concepts.readings import literal
from ...scapre.concepts.review import Row, read_line, review
from ...scapre.concepts.spelling import plain
from ...scapre.errors import ScaPreError
from ..host.text_encoder import ClipEncoder
from ..host.tokenizer import NameTokenizer
from .alike import alike

_REMEMBERED = 20_000  # names, so that a keystroke in a list of thousands costs one of them
_SHOWN = 4  # aliases of a name
_REPEATS = ("duplicate", "conflict", "preserved")
_WORD_END = "</w>"


class NameCheck:
    """Reviews lists, and remembers what it has read of their lines."""

    def __init__(self) -> None:
        """Reads nothing yet; the tokeniser is loaded at the first name."""
        self._read = lru_cache(_REMEMBERED)(read_line)
        self._measure = lru_cache(_REMEMBERED)(self._measure_name)
        self._encoder: _NameEncoder | None = None

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
        notes += [{"kind": "odd", "pieces": word} for word in odd_words(name.words)]
        too_long = (one for one in (name, anchor) if not one.fits)
        notes += [{"kind": "long", "tokens": one.tokens, "window": one.window} for one in too_long]
        once = not any(note["kind"] in _REPEATS for note in row.notes)
        others = [word for word in alike(row.concept.text) if word not in there and once]
        notes += [{"kind": "alias", "names": others[:_SHOWN]}] if others else []
        pieces = [piece for word in name.words for piece in word]
        return {"line": row.line, "tokens": name.tokens, "pieces": pieces, "notes": notes}

    def _measure_name(self, name: str) -> _Measure:
        self._encoder = self._encoder or _NameEncoder()
        return self._encoder.measure(name)


@dataclass(frozen=True)
class _Measure:
    """A name as the text encoder reads it: pieces of each word, their numbers, and how many it reads at once."""

    words: tuple[tuple[str, ...], ...]
    ids: tuple[int, ...]
    fits: bool
    window: int

    @property
    def tokens(self) -> int:
        return sum(map(len, self.words))


class _NameEncoder(ClipEncoder):
    """How the text encoder CLIP-L reads names. Those of all supported models cut names in the same way."""

    def __init__(self) -> None:
        """Needs no model; the host has the tokeniser."""
        super().__init__(NameTokenizer())

    def measure(self, name: str) -> _Measure:
        """Cuts a name."""
        tokens = self._tokens(name)
        words: list[list[str]] = [[]]
        for token, text in self.clip.pieces(tokens):
            words[-1].append(text)
            if token.endswith(_WORD_END):
                words.append([])
        window = len(next(iter(tokens.values()))[0]) - 2  # less the start and the end
        ids = tuple(entry[0] for section in next(iter(tokens.values())) for entry in section)
        return _Measure(tuple(tuple(word) for word in words if word), ids, self._fits(name), window)

    def _fits(self, name: str) -> bool:
        try:
            self.tokens(name)
        except ScaPreError:
            return False
        return True
