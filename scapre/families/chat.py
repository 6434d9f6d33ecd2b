"""How a family reads a language model: inside which words a text stands, and which of its states are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

QWEN_PADDING = 151_643
"""What fills texts up, and stands for a text without tokens, in Qwen's vocabulary."""


@dataclass(frozen=True)
class Chat:
    """A template and what is read of it.

    Attributes:
        model: Title of the language model.
        before: What stands before every text.
        behind: What stands behind it.
        layers: After how many layers states are taken, side by side; 0 and below are counted from the last.
        normed: Whether they go through the last norm.
        last_normed: Whether those behind the last layer do, if no others.
        framed: Whether what stands before a text is read with it.
        opens: A token that is read with a text where it stands right before it, though the others are not.
        filled: Whether padding is read behind it.
        padding: Its token.
        start: Ids of tokens before the template.
        empty: What stands for the empty prompt.
    """

    model: str
    before: str = ""
    behind: str = ""
    layers: tuple[int, ...] = (0,)
    normed: bool = False
    last_normed: bool = False
    framed: bool = False
    opens: int | None = None
    filled: bool = False
    padding: int = QWEN_PADDING
    start: tuple[int, ...] = ()
    empty: str = ""


def qwen(model: str, told: str = "", answer: str = "\n<|im_start|>assistant\n", **more: Any) -> Chat:
    """A text as a user's turn in the words of Qwen's templates.

    Args:
        model: Title of the language model.
        told: What it is told first.
        answer: What follows the end of the user's turn.
        **more: Fields of `Chat`.
    """
    system = f"<|im_start|>system\n{told}<|im_end|>\n" if told else ""
    return Chat(model, f"{system}<|im_start|>user\n", f"<|im_end|>{answer}", **more)
