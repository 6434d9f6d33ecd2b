"""How a text encoder reads names: CLIP-L, as all CLIPs of supported models do, unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable

from ...scapre.concepts.name_check import Measure
from ...scapre.concepts.pieces import words_of
from ...scapre.errors import ScaPreError
from .text_encoder import ClipEncoder
from .tokenizer import NameTokenizer


class NameMeasure:
    """Cuts names; the tokeniser is loaded at the first one."""

    def __init__(self, load: Callable[[], NameTokenizer] = NameTokenizer, of_clip: bool = True) -> None:
        """Reads nothing yet.

        Args:
            load: Loads the tokeniser.
            of_clip: Whether that is a CLIP's; else one of T5 and its relatives.
        """
        self._load, self._of_clip = load, of_clip
        self._encoder: _NameEncoder | None = None

    def __call__(self, name: str) -> Measure:
        """The pieces of a name."""
        self._encoder = self._encoder or _NameEncoder(self._load(), self._of_clip)
        return self._encoder.measure(name)


class _NameEncoder(ClipEncoder):
    def __init__(self, tokenizer: NameTokenizer, of_clip: bool) -> None:
        """Needs no model; the host has the tokeniser."""
        super().__init__(tokenizer)
        self._of_clip = of_clip

    def measure(self, name: str) -> Measure:
        """Cuts a name."""
        pieces = list(self.clip.pieces(self._tokens(name)))
        words = words_of((token, text) for _, token, text in pieces)
        ids = tuple(number for number, _, _ in pieces)
        return Measure(words, ids, self._fits(name), self.window(), self._of_clip)

    def _fits(self, name: str) -> bool:
        try:
            self.tokens(name)
        except ScaPreError:
            return False
        return True
