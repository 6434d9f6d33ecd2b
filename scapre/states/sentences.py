"""T5's states in the engine's order, which is CLIP's: a start, the words, an end, and what stands behind it.

T5 has no start token, and reads in both directions: a text is read whole. The place of the start is taken by what the
empty prompt's end says, since the engine lets the start stand for the empty prompt. Behind the end comes what the model
reads there: nothing, where there is no padding or it is masked, so that the end's state is repeated; or zeros.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten

WINDOW = 77
"""Positions of a text: as many as CLIP has, so that methods that read whole windows read as much."""
END, PADDING = 1, 0
"""T5's tokens for the end of a text, and behind it."""
_SPECIAL = re.compile(r"<(?=\S)")
_BRACKETED = re.compile(r"\[(?=[A-Z]+\])")


def literal(text: str) -> str:
    """A text without special tokens (`</s>`), and without spaces at the ends and double ones, which are none to T5."""
    return " ".join(_SPECIAL.sub("< ", text.replace("embedding:", "embedding :")).split())


def bracketed(text: str) -> str:
    """A text without BERT's special tokens (`[SEP]`), and without spaces at the ends and double ones."""
    return " ".join(_BRACKETED.sub("[ ", text.replace("embedding:", "embedding :")).split())


def check_length(text: str, ids: Sequence[int]) -> None:
    """Accepts a text that fits.

    Raises:
        ScaPreError: If it has too many tokens.
    """
    if len(ids) > WINDOW - 2:
        raise ScaPreError(
            f"{shorten(text)} needs more than the {WINDOW - 2} tokens that are read of a name. Shorten the name, or "
            "use a shorter template."
        )


def ordered(rows: Tensor, words: int, start: Tensor, behind: Tensor | float) -> Tensor:
    """The window of a text, (window, width).

    Args:
        rows: (tokens, width) its states, the end's among them.
        words: Tokens before the end.
        start: (width,) state of the empty prompt's end.
        behind: States behind the end, or what they are, times the end's.
    """
    later = behind if isinstance(behind, Tensor) else behind * rows[words].expand(WINDOW, -1)
    return torch.cat([start[None], rows[: words + 1], later])[:WINDOW]
