"""Checks a list of names as the page shows it: what the parser says, and how the text encoder reads each name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from comfy.sd1_clip import SD1Tokenizer

from ...scapre.concepts.pieces import odd_words
from ...scapre.concepts.review import Row, read_line, review
from ...scapre.errors import ScaPreError
from ..host.text_encoder import ClipEncoder

_REMEMBERED = 20_000  # names, so that a keystroke in a list of thousands costs one of them
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
        return {"error": found.error, "rows": [self._row(row) for row in found.rows]}

    def _row(self, row: Row) -> dict[str, Any]:
        if row.concept is None:
            return {"line": row.line, "notes": row.notes}
        name, anchor = self._measure(row.concept.text), self._measure(row.concept.anchor)
        notes = [*row.notes, *({"kind": "odd", "pieces": word} for word in odd_words(name.words))]
        too_long = (one for one in (name, anchor) if not one.fits)
        notes += [{"kind": "long", "tokens": one.tokens, "window": one.window} for one in too_long]
        pieces = [piece for word in name.words for piece in word]
        return {"line": row.line, "tokens": name.tokens, "pieces": pieces, "notes": notes}

    def _measure_name(self, name: str) -> _Measure:
        self._encoder = self._encoder or _NameEncoder()
        return self._encoder.measure(name)


@dataclass(frozen=True)
class _Measure:
    """A name as the text encoder reads it: pieces of each word, and how many tokens it reads at once."""

    words: tuple[tuple[str, ...], ...]
    fits: bool
    window: int

    @property
    def tokens(self) -> int:
        return sum(map(len, self.words))


class _NameEncoder(ClipEncoder):
    """How the text encoder CLIP-L reads names. Those of all supported models cut names in the same way."""

    def __init__(self) -> None:
        """Needs no model; the host has the tokeniser."""
        super().__init__(_Tokenizer())

    def measure(self, name: str) -> _Measure:
        """Cuts a name."""
        tokens = self._tokens(name)
        words: list[list[str]] = [[]]
        for token, text in self.clip.pieces(tokens):
            words[-1].append(text)
            if token.endswith(_WORD_END):
                words.append([])
        window = len(next(iter(tokens.values()))[0]) - 2  # less the start and the end
        return _Measure(tuple(tuple(word) for word in words if word), self._fits(name), window)

    def _fits(self, name: str) -> bool:
        try:
            self.last_token(name)
        except ScaPreError:
            return False
        return True


class _Tokenizer(SD1Tokenizer):
    """The host's tokeniser, called as a CLIP is."""

    def tokenize(self, text: str, **options: Any) -> dict[str, list[list[tuple[int, float]]]]:
        return self.tokenize_with_weights(text, **options)

    def pieces(self, tokens: Mapping[str, list[list[tuple[int, float]]]]) -> Iterable[tuple[str, str]]:
        """Each token as the vocabulary has it and as text, without those that only fill the window."""
        special = set(self.clip_l.tokenizer.all_special_ids)
        entries = [entry for section in tokens[self.clip_name] for entry in section if entry[0] not in special]
        return ((token, self.decode([entry[0]]).strip()) for entry, token in self.untokenize(entries))
