"""The text's pooled vector, which many models read beside the states of its tokens: one vector for a whole text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..progress import Progress
from .encoder import Encoder
from .lexicon import Lexicon

_WINDOW = 77
_TOGETHER = 32


@runtime_checkable
class Pools(Protocol):
    """An encoder that also gives pooled vectors."""

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """The pooled vector of each text, (texts, width), float32."""
        ...


class PooledEncoder:
    """An encoder whose states are pooled vectors: the empty prompt's at the start, and the text's at all other places.

    So what a method makes of the states of a name's tokens, it makes of the vectors of the texts that it stands in,
    and what it holds at the start of every text is the vector of the empty prompt.
    """

    def __init__(self, encoder: Encoder, pooled: Callable[[Sequence[str]], Tensor]) -> None:
        """Takes the encoder of the texts' tokens, and what gives pooled vectors."""
        self._encoder, self._pooled = encoder, pooled
        self._null: Tensor | None = None

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens; see `Encoder`."""
        return self._encoder.tokens(text)

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """The vectors as states of a whole window, (texts, tokens, width), float32."""
        parts = []
        for start in range(0, len(texts), _TOGETHER):
            progress("pooled vectors", start, len(texts))
            parts.append(self.encode_prefixes(texts[start : start + _TOGETHER], _WINDOW))
        progress("pooled vectors", len(texts), len(texts))
        return torch.cat(parts)

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """The same for the first positions, (texts, length, width)."""
        if self._null is None:
            self._null = self._pooled([""])
        vectors = self._pooled(texts)[:, None].expand(-1, length - 1, -1)
        return torch.cat((self._null[None].expand(len(texts), -1, -1), vectors), 1)

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, or gave earlier for this encoder's pooled vectors and key."""
        return self._encoder.remembered(f"{key}\0pooled", make)

    def lexicon(self) -> Lexicon | None:
        """The words of the encoder's vocabulary."""
        return self._encoder.lexicon()
