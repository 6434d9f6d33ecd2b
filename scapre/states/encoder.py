"""What the engine needs of a text encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from ..progress import Progress
from .lexicon import Lexicon


class Encoder(Protocol):
    """What the engine needs of a text encoder; hosts provide it."""

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens between the start and the end token.

        Raises:
            ScaPreError: If the text does not fit the encoder's window.
        """
        ...

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32."""
        ...

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """States of the first positions of the texts, (texts, length, width), float32."""
        ...

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, float32, or gave earlier for this encoder and key."""
        ...

    def lexicon(self) -> Lexicon | None:
        """The words of its vocabulary; None where they cannot be had."""
        ...


@runtime_checkable
class ReadsAhead(Protocol):
    """An encoder that likes to know which texts it will be asked for, since reading few costs as much as many."""

    def read_ahead(self, texts: Sequence[str], progress: Progress) -> None:
        """Reads these texts, and keeps their states for a while."""
        ...


@runtime_checkable
class Framed(Protocol):
    """An encoder that puts every text into the same words, of which a model reads states beside the text's own."""

    def frame(self) -> Tensor:
        """States of what stands before every text, the same for all, (positions, width), float32; maybe none."""
        ...


def frame_of(encoder: Encoder) -> Tensor | None:
    """What an encoder has of that, if anything."""
    found = encoder.frame() if isinstance(encoder, Framed) else None
    return found if found is not None and len(found) else None
