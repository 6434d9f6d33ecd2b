"""The states of language models in the engine's order: they read a text inside a template, from its beginning on.

What the template has before a text is the same for all; where a model reads that, too, it is the frame. What it has
behind a text takes the place of the end and of what stands behind it, up to padding, if there is any.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from .sentences import WINDOW, ordered

Ids = tuple[int, ...]

_SPECIAL = re.compile(r"<(?=\S)|\[(?=/?[A-Z])")
APART = ("cat", "red house", "")
"""Texts that begin and end with different tokens."""


def literal(text: str) -> str:
    """A text without special tokens, and without spaces at the ends and double ones."""
    defused = _SPECIAL.sub(lambda found: f"{found[0]} ", text.replace("embedding:", "embedding :"))
    return " ".join(defused.split())


def template_of(cut: Callable[[str], Ids]) -> tuple[int, int]:
    """How many tokens of every text a template has before it, and behind it.

    Args:
        cut: Gives the tokens of a text in its template.
    """
    one, *others = map(cut, APART)
    before, behind = (min(_alike(one[::step], other[::step]) for other in others) for step in (1, -1))
    return before, behind


def window_of(rows: Tensor, words: int, start: Tensor) -> Tensor:
    """The engine's window of a text, (window, width).

    Args:
        rows: States of its words, and of what is read behind them.
        words: How many there are.
        start: What stands for the start of a text, (width,).
    """
    if len(rows) == words:  # no template behind it
        rows = torch.cat([rows, rows[-1:] if words else start[None]])
    behind = torch.cat([rows[words + 1 :], rows[-1:].expand(WINDOW, -1)])
    return ordered(rows, words, start, behind)


def _alike(one: Ids, other: Ids) -> int:
    """How many tokens two texts begin alike with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))
