"""Second moments of token states: of a concept in its prompts, of its way to the anchor, and of what stays.

S = Σ_i mean_texts Σ_t w_t x_t x_tᵀ,  D = Σ_i mean_texts Σ_t w_t (y_t - x_t) x_tᵀ,
G = mean over kept texts of  b bᵀ + mean(words) + e eᵀ + mean(padding),
with x_t the states of a prompt from the concept's first token on, y_t those of the same prompt with another word in its
place, aligned at the last token, b the start state and e the end state. In every text each class of positions (earlier
tokens of the name, its last, later words, end, padding) counts one, shared among its positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """Where a name stands among the positions of a prompt.

    Attributes:
        first: Position of its first token.
        last: Position of its last token that carries a word.
        end: Position of the end token.
    """

    first: int
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
        begin with them too (Claude Monet, Claude Lorrain), so they have nowhere to go.
        """
        inside = [max(other.first - 1, other.last - self.last + t) for t in range(self.first, self.last)]
        later = [other.last + t - self.last for t in range(self.last, self.end)]
        padding = [min(other.end + t - self.end, window - 1) for t in range(self.end, window)]
        return [*inside, *later, *padding]


def weights(classes: Sequence[range]) -> Tensor:
    """w_t of the positions from the name on, (positions,), float64: one for each class."""
    return torch.cat([torch.full((len(part),), 1 / len(part), dtype=torch.float64) for part in classes])


def concept_moments(states: Tensor, span: Span, others: Sequence[tuple[Tensor, Span]]) -> tuple[Tensor, Tensor]:
    """Σ_t w_t x_t x_tᵀ and Σ_t w_t (y_t - x_t) x_tᵀ of one prompt, both (d, d), float64.

    Args:
        states: (window, d) of the prompt.
        span: Where the name is in it.
        others: The same prompt with other words in the name's place; y is their mean.
    """
    window = len(states)
    rows = states[span.first :].double()
    aim = torch.stack([_aim(rows, span, other, place) for other, place in others]).mean(0)
    weighted = rows * weights(span.classes(window))[:, None].to(rows.device)
    return weighted.T @ rows, (aim - rows).T @ weighted


def _aim(rows: Tensor, span: Span, other: Tensor, place: Span) -> Tensor:
    """y of one other prompt: its states beside the prompt's own, which stay where it has none for them."""
    positions = torch.tensor(span.beside(place, len(other)))
    missing = (positions < place.first)[:, None].to(rows.device)
    return torch.where(missing, rows, other[positions].double())


def kept_moment(states: Tensor, end: int) -> Tensor:
    """b bᵀ + mean(words) + e eᵀ + mean(padding) of one text, (d, d), float64."""
    parts = [range(1), range(1, end), range(end, end + 1), range(end + 1, len(states))]
    classes = [part for part in parts if len(part)]
    rows = states.double()
    return (rows * weights(classes)[:, None].to(rows.device)).T @ rows
