"""Names as they stand in prompts: the texts that an edit learns a concept from, and those it must leave alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ScaPreError, shorten

NAME, OTHER = "{}", "{other}"
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


_MOST = 100
_NAMES, _OTHERS = re.compile(r"\bNAME\b"), re.compile(r"\bOTHER\b")


@dataclass(frozen=True)
class Wordings:
    """Prompts with a place for a name.

    Attributes:
        alone: With nothing else to draw; the first is the name itself.
        beside: With a place for another word, too.
    """

    alone: tuple[str, ...] = WORDINGS
    beside: tuple[str, ...] = COMBINED

    @classmethod
    def of(cls, text: str) -> Wordings:
        """Wordings that a user typed, with ; between them; those that come with the method where there are none.

        Raises:
            ScaPreError: If one has no place for a name or several, or there are too many.
        """
        typed = list(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))
        wrong = [part for part in typed if len(_NAMES.findall(part)) != 1 or NAME in part or OTHER in part]
        if wrong:
            raise ScaPreError(
                f"wordings: {shorten(wrong[0])} needs NAME once, where the name stands, and may have OTHER where "
                "another word does. Write ; between wordings."
            )
        typed = [_OTHERS.sub(OTHER, _NAMES.sub(NAME, part)) for part in typed]
        if len(typed) > _MOST:
            raise ScaPreError(f"wordings: {len(typed)} are too many; {_MOST} are possible.")
        if not typed:
            return cls()
        alone = [part for part in typed if OTHER not in part and part != NAME]
        return cls((NAME, *alone), tuple(part for part in typed if OTHER in part))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.alone) + len(self.beside)


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
        before, after = wording.split(NAME)
        return cls(before.replace(OTHER, other), after.replace(OTHER, other))

    def fill(self, name: str) -> str:
        """The prompt with a name."""
        return self.before + name + self.after


def slots(wordings: Wordings, others: Sequence[str], count: int, turn: int = 0) -> list[Slot]:
    """Wordings of one name: alone, and beside other words.

    Args:
        wordings: All there are.
        others: Words to put beside it, one after another.
        count: How many wordings.
        turn: Number of the name in its list; where there is no room for all wordings, names take turns with them.
    """
    alone = [wordings.alone[0], *_turned(wordings.alone[1:], turn)]
    beside = _turned(wordings.beside, turn) if others else []
    part = min(len(alone), max(count - len(beside), (count + 1) // 2))
    chosen = [*alone[:part], *beside[: count - part]]
    words = [others[(turn + place) % len(others)] if others else "" for place in range(len(chosen))]
    return [Slot.of(wording, word) for wording, word in zip(chosen, words, strict=True)]


def _turned(wordings: Sequence[str], turn: int) -> list[str]:
    start = turn % max(1, len(wordings))
    return [*wordings[start:], *wordings[:start]]
