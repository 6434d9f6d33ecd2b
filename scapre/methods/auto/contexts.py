"""Names as they stand in prompts: the texts that an edit learns a concept from, and those it must leave alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

WORDINGS = ("{}", "a {}", "a picture of {}", "a picture in the style of {}")
"""A name alone. Which kind of name it is need not be known: a wording that does not fit does no harm."""
COMBINED = (
    "a {other} and a {}", "a {} and a {other}", "a {} beside a {other}", "a {other} by {}", "a {} by {other}",
    "{other} {}", "{} {other}", "a {other} in the style of {}", "a {} in the style of {other}", "{}, {other} style",
    "a picture of a {other} with {}", "{} in front of a {other}",
)  # fmt: skip
"""A name beside another word, which must survive there."""


@dataclass(frozen=True)
class Slot:
    """A prompt with a place for a name.

    Attributes:
        before: What stands before the name.
        after: What stands after it.
    """

    before: str
    after: str

    def fill(self, name: str) -> str:
        """The prompt with a name."""
        return self.before + name + self.after


def slots(others: Sequence[str], combined: int = len(COMBINED)) -> Iterator[Slot]:
    """The wordings of one name: alone, and beside other words.

    Args:
        others: Words to put beside it, in turn.
        combined: How many such prompts.
    """
    for wording in WORDINGS:
        yield Slot(*wording.split("{}"))
    if others:
        for wording, other in zip(COMBINED[:combined], cycle(others), strict=False):
            yield Slot(*wording.replace("{other}", other).split("{}"))


def kept_texts(words: Sequence[str], combined: int) -> list[str]:
    """Texts whose states stay: the empty prompt, every word in three wordings, and prompts that combine two of them."""
    found = ["", *(wording.replace("{}", word) for word in words for wording in (WORDINGS[0], *WORDINGS[2:]))]
    pairs = zip(cycle(COMBINED), words, [*words[1:], *words[:1]], strict=False)
    return list(dict.fromkeys([*found, *(
        wording.replace("{other}", other).replace("{}", word) for wording, word, other in islice(pairs, combined)
    )]))  # fmt: skip
