"""Names as they stand in prompts: the texts that an edit learns a concept from, and those it must leave alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WORDINGS = ("{}", "a picture of {}", "a picture in the style of {}", "a {}")
"""A name alone. Which kind of name it is need not be known: a wording that does not fit does no harm."""
COMBINED = (
    "a {other} and a {}", "a {} in the style of {other}", "a {other} by {}", "a {} beside a {other}",
    "a {other} in the style of {}", "a {} by {other}", "{other} {}", "a {} and a {other}", "{}, {other} style",
    "{other}, {} style", "a picture of a {other} with {}", "{} in front of a {other}",
)  # fmt: skip
"""A name beside another word, which must survive there."""
PADDING = 4
"""Positions of padding that are read of each text. They tell little apart from each other, and decide nothing."""
MOST_TOKENS = 75 - PADDING
"""Tokens of a text that leave room for them in CLIP's window."""


@dataclass(frozen=True)
class Slot:
    """A prompt with a place for a name.

    Attributes:
        before: What stands before the name.
        after: What stands after it.
    """

    before: str
    after: str

    @classmethod
    def of(cls, wording: str, other: str) -> Slot:
        """A wording with another word in it, which may hold braces of its own."""
        before, after = wording.split("{}")
        return cls(before.replace("{other}", other), after.replace("{other}", other))

    def fill(self, name: str) -> str:
        """The prompt with a name."""
        return self.before + name + self.after


def slots(others: Sequence[str], count: int, turn: int = 0) -> list[Slot]:
    """Wordings of one name: alone, and beside other words.

    Args:
        others: Words to put beside it, one after another.
        count: How many wordings.
        turn: Number of the name in its list; where there is no room for all wordings, names take turns with them.
    """
    alone = [WORDINGS[0], *_turned(WORDINGS[1:], turn)]
    beside = _turned(COMBINED, turn) if others else []
    part = min(len(alone), max(count - len(beside), (count + 1) // 2))
    chosen = [*alone[:part], *beside[: count - part]]
    words = [others[(turn + place) % len(others)] if others else "" for place in range(len(chosen))]
    return [Slot.of(wording, word) for wording, word in zip(chosen, words, strict=True)]


def _turned(wordings: Sequence[str], turn: int) -> list[str]:
    start = turn % len(wordings)
    return [*wordings[start:], *wordings[:start]]
