"""Second moments of token states: of concepts in their prompts, of their way to the anchors, and of what stays.

S = Σ_i mean_texts Σ_t w_t x_t x_tᵀ,  D = Σ_i mean_texts Σ_t w_t (y_t - x_t) x_tᵀ,
G = mean over kept texts of  b bᵀ + mean(words) + e eᵀ + mean(padding),
with x_t the states of a prompt from the concept's first token on, y_t those of the same prompt with another word in its
place, aligned at the last token, b the start state and e the end state. In every text each class of positions (earlier
tokens of the name, its last, later words, end, padding) counts one, shared among its positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import ScaPreError

_SYMMETRIC = ("erased", "kept", "apart", "common")
_COUNTS = 5  # texts, concepts, square, known, reach
_TEXTS = 1500
"""Beyond so many kept texts G is no mean: each weighs as much as one of so many, however long a list is."""


@dataclass(frozen=True)
class Span:
    """Where a name stands among the positions of a prompt.

    Attributes:
        first: Position of its first token.
        word: Position of its first token, where all its tokens are pieces of one word; otherwise `last`.
        last: Position of its last token that carries a word.
        end: Position of the end token.
    """

    first: int
    word: int
    last: int
    end: int

    def classes(self, window: int) -> list[range]:
        """Positions by class, from the name on."""
        parts = (self.first, self.last), (self.last, self.last + 1), (self.last + 1, self.end)
        return [
            range(*part) for part in (*parts, (self.end, self.end + 1), (self.end + 1, window)) if part[0] < part[1]
        ]

    def beside(self, other: Span, window: int) -> list[int]:
        """Position in another prompt of each of this one's positions, which differs from it in the name alone.

        A name's earlier tokens that a shorter name has none for are given the position before that name. Other names
        begin with them too (Claude Monet, Claude Lorrain), so they have nowhere to go. But pieces of one word go with
        it: the other's first piece, if it has some, takes the place of those that it has not.

        Args:
            other: Where the other name is.
            window: Positions of this prompt; the other one has as many behind its end.
        """
        pieces = self.word < self.last
        least, end = (other.word, other.last) if pieces else (other.first - 1, other.word)
        inside = [max(least, end - self.last + t) for t in range(self.first, self.last)]
        later = [min(other.last - self.last + t, other.end - 1) for t in range(self.last, self.end)]
        return [*inside, *later, *(other.end + t - self.end for t in range(self.end, window))]


@dataclass(frozen=True)
class Moments:
    """The moments of a list. Symmetric ones are their upper triangles, (t,) with t = d (d + 1) / 2, as `half` gives.

    Attributes:
        erased: (t,) S.
        way: (d, d) D.
        kept: (t,) sum over kept texts, of which G is the mean, if there are not too many.
        apart: (t,) that part of `kept` which belongs to kin that are left out to see how they would fare.
        common: (t,) mean over texts of general words, the same for every list.
        kin: (concepts, d) mean of the states of what takes each concept's place, at its last token and alone; with
            several text encoders, a row for each of them, one concept after another.
        texts: Number of kept texts.
        concepts: Number of concepts.
        square: Sum of ν over the concepts.
        known: Share of the concepts of which it is known what becomes of their neighbours: they stay, or go too.
        reach: β where it is known; 0 is not.
    """

    erased: Tensor
    way: Tensor
    kept: Tensor
    apart: Tensor
    common: Tensor
    kin: Tensor
    texts: float
    concepts: float
    square: float
    known: float
    reach: float = 0.0

    def metric(self, hold: float, keep: float, *, without: bool = False) -> Tensor:
        """M = λ ν I + S + p G, (d, d), float64; without what is left out."""
        share = keep / min(self.texts, _TEXTS)
        total = self.erased.add(self.common, alpha=keep).add_(self.kept, alpha=share)
        if without:
            total.sub_(self.apart, alpha=share)
        whole = symmetric(total)
        whole.diagonal().add_(hold * self.square / self.concepts)
        return whole

    def tensors(self) -> dict[str, Tensor]:
        """As an edit keeps them. In single precision they are what is solved, so that it can be solved again."""
        numbers = [self.texts, self.concepts, self.square, self.known, self.reach]
        halves = {key: getattr(self, key).float() for key in _SYMMETRIC}
        return {**halves, "way": self.way.float(), "kin": self.kin.float(), "counts": torch.tensor(numbers)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Moments:
        """The moments that `tensors` gives.

        Raises:
            ScaPreError: If they have different sizes.
        """
        way = tensors["way"].double()
        if any(2 * len(tensors[key]) != len(way) * (len(way) + 1) for key in _SYMMETRIC):
            raise ScaPreError("edit: its moments do not fit its width. It is damaged; make it again.")
        counts = tensors["counts"]
        if len(counts) != _COUNTS or min(counts[:3].tolist()) <= 0 or len(tensors["kin"]) % int(counts[1]):
            raise ScaPreError("edit: its moments do not fit its concepts. It is damaged; make it again.")
        parts = {key: tensors[key].double() for key in _SYMMETRIC}
        texts, concepts, square, known, reach = tensors["counts"].tolist()
        return cls(
            **parts,
            way=way,
            kin=tensors["kin"].double(),
            texts=texts,
            concepts=concepts,
            square=square,
            known=known,
            reach=reach,
        )


def half(matrix: Tensor) -> Tensor:
    """The upper triangle of a symmetric (d, d) matrix, row by row, (d (d + 1) / 2,)."""
    return matrix.masked_select(_upper(len(matrix), matrix.device))


def symmetric(triangle: Tensor) -> Tensor:
    """The (d, d) matrix whose upper triangle is given."""
    width = int((math.isqrt(8 * len(triangle) + 1) - 1) // 2)
    found = triangle.new_zeros(width, width).masked_scatter_(_upper(width, triangle.device), triangle)
    return found.add_(found.triu(1).T)


def _upper(width: int, device: torch.device) -> Tensor:
    return torch.ones(width, width, dtype=torch.bool, device=device).triu()


def together(parts: Sequence[Moments]) -> Moments:
    """The moments of one list as several text encoders read it, for a model that reads what each of them gives."""
    first, *others = parts
    if not others:
        return first
    summed = ("erased", "way", "kept", "apart", "common", "square")
    sums = {key: sum(getattr(part, key) for part in parts) for key in summed}
    return replace(first, **sums, kin=torch.stack([part.kin for part in parts], 1).flatten(0, 1))


def joined(parts: Sequence[Moments], reach: float) -> Moments:
    """The moments of all concepts of several lists."""
    sums = {
        key: sum(getattr(part, key) for part in parts)
        for key in ("erased", "way", "kept", "apart", "texts", "concepts", "square")
    }
    return Moments(
        **sums,
        common=parts[0].common,
        kin=torch.cat([part.kin for part in parts]),
        known=min(part.known for part in parts),
        reach=reach,
    )


class Moment:
    """A sum of weighted outer products over many rows, (d, d), float64, which takes them in blocks."""

    _ROWS = 4096

    def __init__(self, width: int) -> None:
        """An empty sum."""
        self._total = torch.zeros(width, width, dtype=torch.float64)
        self._left: list[Tensor] = []
        self._right: list[Tensor] = []
        self._count = 0

    def add(self, left: Tensor, right: Tensor) -> None:
        """Adds leftᵀ right of rows (n, d)."""
        self._left.append(left)
        self._right.append(right)
        self._count += len(left)
        if self._count >= self._ROWS:
            self._flush()

    def total(self) -> Tensor:
        """The sum."""
        self._flush()
        return self._total

    def _flush(self) -> None:
        if self._left:
            self._total.addmm_(torch.cat(self._left).double().T, torch.cat(self._right).double())
        self._left, self._right, self._count = [], [], 0


def weights(classes: Sequence[range]) -> Tensor:
    """w_t of the positions of some classes, (positions,): one for each class."""
    return torch.cat([torch.full((len(part),), 1 / len(part)) for part in classes])


def aim(states: Tensor, span: Span, others: Sequence[tuple[Tensor, Span]]) -> Tensor:
    """y of a prompt, (window - first, d): the mean of other prompts' states beside its own.

    Args:
        states: (window, d) of the prompt.
        span: Where the name is in it.
        others: The same prompt with other words in the name's place.
    """
    rows = states[span.first :]
    return torch.stack([_beside(rows, span, len(states), other, place) for other, place in others]).mean(0)


def _beside(rows: Tensor, span: Span, window: int, other: Tensor, place: Span) -> Tensor:
    """The states of one other prompt; where it has none for a position, that stays."""
    positions = torch.tensor(span.beside(place, window))
    return torch.where((positions < place.first)[:, None], rows, other[positions])


def kept_weights(end: int, window: int) -> Tensor:
    """Weights of the positions of a text that stays, (window,)."""
    parts = [range(1), range(1, end), range(end, end + 1), range(end + 1, window)]
    return weights([part for part in parts if len(part)])
