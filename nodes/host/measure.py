"""How a text encoder reads names: CLIP-L, as all CLIPs of supported models do, unless told otherwise."""

from __future__ import annotations

from typing import Any

from ...scapre.concepts.name_check import Measure
from ...scapre.concepts.pieces import words_of
from ...scapre.errors import ScaPreError
from .text_encoder import ClipEncoder
from .tokenizer import NameTokenizer
from .vocabularies import CLIP, Vocabulary


class NameMeasure:
    """Cuts names; the tokeniser is loaded at the first one."""

    def __init__(self, vocabulary: Vocabulary = CLIP, data: Any = None) -> None:
        """Reads nothing yet; see `NameTokenizer`."""
        self._of = vocabulary, data
        self._encoder: _NameEncoder | None = None

    def load(self) -> _NameEncoder:
        """Loads it, if that was not done yet.

        Raises:
            ScaPreError: If the host cannot.
        """
        self._encoder = self._encoder or _NameEncoder(*self._of)
        return self._encoder

    def __call__(self, name: str) -> Measure:
        """The pieces of a name."""
        return self.load().measure(name)


class _NameEncoder(ClipEncoder):
    def __init__(self, vocabulary: Vocabulary, data: Any) -> None:
        """Needs no model; the host has the tokeniser."""
        super().__init__(NameTokenizer(vocabulary, data))
        self._how = vocabulary.cut

    def measure(self, name: str) -> Measure:
        """Cuts a name."""
        pieces = list(self.clip.pieces(self._tokens(name)))
        words = words_of(((token, text) for _, token, text in pieces), self._how)
        ids = tuple(number for number, _, _ in pieces)
        return Measure(words, ids, self._fits(name), self.window(), self._how)

    def _fits(self, name: str) -> bool:
        try:
            self.tokens(name)
        except ScaPreError:
            return False
        return True
