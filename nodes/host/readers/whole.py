"""What readers share whose encoders read a text whole, and whose windows are put together here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ....scapre.states.sentences import WINDOW, check_length
from .reader import Reader, Sections


class WholeReader(Reader):
    """Reads texts in batches, and brings each text's states into the engine's order."""

    def window(self, sections: Sections) -> int:
        """As with CLIP, less the start and the end."""
        return WINDOW - 2

    def ids(self, text: str, sections: Sections) -> tuple[int, ...]:
        """A text's words."""
        found = self._words(sections)
        check_length(text, found)
        return found

    def whole(self, texts: Sequence[Sections]) -> Tensor:
        """Texts of like length together."""
        return self._whole(texts, WINDOW)

    def prefixes(self, texts: Sequence[Sections], length: int) -> Tensor:
        """Padding is read no further than that, where no token sees it."""
        return self._whole(texts, length)[:, :length]

    def _whole(self, texts: Sequence[Sections], length: int) -> Tensor:
        """The same, of which no more than the first positions are right, (texts, window, width)."""
        states: dict[int, Tensor] = {}
        for places in self._batches(texts):
            for place, rows in zip(places, self._encoded([texts[place] for place in places], length), strict=True):
                states[place] = self._ordered(rows, len(self._words(texts[place])))
        return torch.stack([states[place] for place in range(len(texts))])

    @abstractmethod
    def _words(self, sections: Sections) -> tuple[int, ...]:
        """Tokens of a text's words."""

    @abstractmethod
    def _batches(self, texts: Sequence[Sections]) -> Iterator[list[int]]:
        """Places of the texts that are encoded together."""

    @abstractmethod
    def _encoded(self, texts: Sequence[Sections], length: int) -> Tensor | Sequence[Tensor]:
        """States of each text, (tokens, width), float32 on the CPU, as far as its first positions need them."""

    @abstractmethod
    def _ordered(self, rows: Tensor, words: int) -> Tensor:
        """The engine's window of a text, (window, width)."""
