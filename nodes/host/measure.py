"""How the text encoder CLIP-L reads names. Those of all supported models cut names in the same way."""

from __future__ import annotations

from ...scapre.concepts.name_check import Measure, words_of
from ...scapre.errors import ScaPreError
from .text_encoder import ClipEncoder
from .tokenizer import NameTokenizer


class NameMeasure:
    """Cuts names; the tokeniser is loaded at the first one."""

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._encoder: _NameEncoder | None = None

    def __call__(self, name: str) -> Measure:
        """The pieces of a name."""
        self._encoder = self._encoder or _NameEncoder()
        return self._encoder.measure(name)


class _NameEncoder(ClipEncoder):
    def __init__(self) -> None:
        """Needs no model; the host has the tokeniser."""
        super().__init__(NameTokenizer())

    def measure(self, name: str) -> Measure:
        """Cuts a name."""
        tokens = self._tokens(name)
        window = len(next(iter(tokens.values()))[0]) - 2  # less the start and the end
        ids = tuple(entry[0] for section in next(iter(tokens.values())) for entry in section)
        return Measure(words_of(self.clip.pieces(tokens)), ids, self._fits(name), window)

    def _fits(self, name: str) -> bool:
        try:
            self.tokens(name)
        except ScaPreError:
            return False
        return True
