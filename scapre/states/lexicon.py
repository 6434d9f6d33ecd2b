"""The words of a text encoder's own vocabulary, and which of them lie close to a name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..concepts.pieces import Cut, cut_of

_WORDS: Mapping[Cut, re.Pattern[str]] = {
    Cut.CLIP: re.compile("([a-z]{3,})</w>"),
    Cut.SENTENCES: re.compile("▁([a-z]{3,})"),
    Cut.BERT: re.compile("([a-z]{3,})"),
}
"""Whole words of plain letters. In vocabularies of bytes a word has one token behind a space and another without."""
_MOST = 2**26  # values of directions that are kept: 256 MB
_BLOCK = 8192


class Embeddings(Protocol):
    """What is needed of embeddings: a tensor (tokens, d), or what reads rows of one when they are asked for."""

    @property
    def shape(self) -> Any:
        """(tokens, d)."""
        ...

    @property
    def device(self) -> Any:
        """Where they are."""
        ...

    def __getitem__(self, ids: Tensor, /) -> Tensor:
        """Rows (ids, d)."""
        ...


@dataclass(frozen=True)
class Lexicon:
    """Whole words that an encoder has one token for.

    Attributes:
        words: The words.
        ids: (words,) their tokens.
        embeddings: (tokens, d) embeddings of all tokens, by their numbers, as the encoder keeps them: those of a large
            vocabulary take gigabytes in single precision.
        clip: Whether the vocabulary is written as CLIP's is.
    """

    words: tuple[str, ...]
    ids: Tensor
    embeddings: Embeddings
    clip: bool = True

    @classmethod
    def of(cls, vocabulary: dict[str, int], embeddings: Embeddings) -> Lexicon:
        """The whole words of a vocabulary.

        Args:
            vocabulary: Number of each token, as CLIP's, T5's or BERT's tokeniser has it.
            embeddings: (tokens, d).
        """
        # By number: some libraries give a vocabulary in another order each time.
        ordered = sorted(vocabulary.items(), key=lambda entry: entry[1])
        cut = cut_of(vocabulary)
        words = ((_WORDS[cut].fullmatch(token), number) for token, number in ordered if cut in _WORDS)
        found = {word[1]: number for word, number in words if word}
        known = {word: number for word, number in found.items() if number < embeddings.shape[0]}
        ids = torch.tensor(list(known.values()), dtype=torch.long)
        return cls(tuple(known), ids, embeddings, clip=cut is Cut.CLIP)

    @classmethod
    def none(cls) -> Lexicon:
        """No words, of an encoder that is no CLIP."""
        return cls((), torch.empty(0, dtype=torch.long), torch.empty(0, 1), clip=False)

    def nearest(self, token: int, count: int, without: Collection[int] = ()) -> list[tuple[str, float]]:
        """The words whose embeddings have the greatest cosine with that of a token, closest first.

        Args:
            token: Of a name, its last as a rule.
            count: How many.
            without: Tokens that are not wanted.

        Returns:
            Words, and by how many standard deviations of all words' cosines each lies above their mean.
        """
        cosines = self._cosines(token)
        above = _standard(cosines, cosines)
        unwanted = torch.isin(self.ids, torch.tensor([token, *without]))
        above[unwanted] = -torch.inf
        order = above.argsort(descending=True, stable=True)[: min(count, int((~unwanted).sum()))]
        return [(self.words[place], float(above[place])) for place in order.tolist()]

    def distances(self, token: int, others: Sequence[int]) -> list[float]:
        """By how many of these standard deviations other tokens lie above that mean."""
        there = self._unit(torch.tensor(list(others), dtype=torch.long)) @ self._direction(token)
        found: list[float] = _standard(there, self._cosines(token)).tolist()
        return found

    def _direction(self, token: int) -> Tensor:
        return self._unit(torch.tensor([token]))[0]

    def _cosines(self, token: int) -> Tensor:
        """All words' with a token; the latest token's are kept, since one is asked about twice in a row."""
        if token not in self._latest:
            self._latest.clear()
            own = self._direction(token)
            self._latest[token] = torch.cat([block @ own for block in self._directions()])
        return self._latest[token]

    @cached_property
    def _latest(self) -> dict[int, Tensor]:
        return {}

    def _directions(self) -> Iterable[Tensor]:
        """All words' directions, in blocks; few enough of them are kept."""
        if len(self.ids) * self.embeddings.shape[1] <= _MOST:
            return (self._all,)
        return (self._unit(ids) for ids in self.ids.split(_BLOCK))

    @cached_property
    def _all(self) -> Tensor:
        return self._unit(self.ids)

    def _unit(self, ids: Tensor) -> Tensor:
        """Directions of tokens, (tokens, d), float32 on the CPU."""
        rows = self.embeddings[ids.to(self.embeddings.device)]
        return F.normalize(rows.to("cpu", torch.float32), dim=1)


def _standard(values: Tensor, cosines: Tensor) -> Tensor:
    """Values in standard deviations above the mean of cosines."""
    return (values - cosines.mean()) / cosines.std().clamp(min=1e-12)
