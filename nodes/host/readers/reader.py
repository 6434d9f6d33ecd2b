"""What the host's CLIP needs of a reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ....scapre.errors import ScaPreError
from .vectors import VectorEncoder

Sections = dict[str, list[list[tuple[int, float]]]]
"""Tokens with their weights, by part of the encoder and section, as the host cuts a text."""


Network = Callable[[Tensor, Tensor], Tensor]
"""A network of a model that takes states (1, tokens, width) and token ids (1, others) to states of those."""


PROBE = "a cat beside a red house, in the style of an old master"


class Reader(ABC):
    """Reads the states of texts from one kind of text encoder."""

    windows = False
    """Whether what the host gives of a text is the states of `whole` and a vector, and nothing else."""
    remembers = True
    """Whether what is made of its states may be kept on disk, where there is room for that of a few encoders."""
    _batched: VectorEncoder | Literal[False] | None = None

    def __init__(self, clip: Any, name: str, network: Network | None = None) -> None:
        """Takes the host's CLIP.

        Args:
            clip: The host's.
            name: Of the part whose tokens are a text's.
            network: See `reader`.
        """
        self.clip, self.name, self.network = clip, name, network

    @classmethod
    def there(cls, model: Any) -> bool:
        """Whether the host's network of text encoders has what it reads; hosts can load some of several."""
        return True

    @abstractmethod
    def literal(self, text: str) -> str:
        """A text in which nothing is syntax to the tokenizer."""

    @abstractmethod
    def window(self, sections: Sections) -> int:
        """How many tokens of a text's words are read at once."""

    @abstractmethod
    def ids(self, text: str, sections: Sections) -> tuple[int, ...]:
        """Tokens of a text's words.

        Raises:
            ScaPreError: If there are more than are read at once.
        """

    @abstractmethod
    def whole(self, texts: Sequence[Sections]) -> Tensor:
        """States of texts in the engine's order, (texts, window, width), float32 on the CPU."""

    def frame(self) -> Tensor:
        """What a model reads of every text beside its own tokens, (positions, width); as a rule nothing."""
        return torch.empty(0)

    def vectors(self, texts: Sequence[Sections]) -> Tensor:
        """Pooled vectors of texts, (texts, width), float32 on the CPU, in one batch where that can be done here.

        Raises:
            ScaPreError: If the host gives none.
        """
        if self._batched is None:
            probe = [self.clip.tokenize(PROBE)]
            self._batched = VectorEncoder.like(self.clip, ids_of(probe), self._vectors(probe)) or False
        # Of a text of several windows, of which T5 knows nothing, the vector is that of the first.
        first = [{name: parts[:1] for name, parts in text.items()} for text in texts]
        return self._batched(ids_of(first)) if self._batched else self._vectors(texts)

    def _vectors(self, texts: Sequence[Sections]) -> Tensor:
        """The same from a call of the host's for each."""
        found = [self.clip.encode_from_tokens(text, return_pooled=True)[1] for text in texts]
        if any(vector is None for vector in found):
            raise ScaPreError(
                f"clip: {self.name} gives no pooled vector of a text. Connect the text encoder that belongs to the "
                "model, or set pooled to off."
            )
        return torch.cat(found).float().cpu()

    def prefixes(self, texts: Sequence[Sections], length: int) -> Tensor:
        """The first positions of that, (texts, length, width)."""
        return self.whole(texts)[:, :length]


def plain(text: str) -> str:
    """A text without the host's own syntax: weights, embeddings and brackets are letters like any others in a name."""
    return text.replace("embedding:", "embedding :")


def merged(texts: Sequence[Sections]) -> Sections:
    """The sections of several texts as those of one."""
    return {encoder: [section for text in texts for section in text[encoder]] for encoder in texts[0]}


def ids_of(texts: Sequence[Sections]) -> dict[str, list[list[int]]]:
    """Token ids alone, by encoder."""
    return {name: [[entry[0] for entry in part] for part in parts] for name, parts in merged(texts).items()}
