"""The prompts that a probe asks with: a name in a few wordings, and each wording without it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..concepts.names import normalise
from ..errors import ScaPreError, shorten

_NAME = re.compile(r"\bNAME\b")
_MOST = 20


@dataclass(frozen=True)
class Wording:
    """A prompt with a name, and the same prompt without it.

    Attributes:
        before: What stands before the name.
        after: What stands after it.
        base: The prompt that its prediction is compared with.
    """

    before: str
    after: str
    base: str

    def fill(self, name: str) -> str:
        """The prompt with a name."""
        return self.before + name + self.after


WORDINGS = (
    Wording("", "", ""),
    Wording("a picture of ", "", "a picture"),
    Wording("in the style of ", "", "in a style"),
    Wording("a drawing that shows ", ", in bright colours", "a drawing in bright colours"),
)
"""The name alone, as a thing, as a style, and paraphrased beside other words: one that does not fit does no harm."""


def wordings_of(text: str) -> tuple[Wording, ...]:
    """Wordings that a user typed, with ; between them and NAME for the name; those that come with it for none.

    Raises:
        ScaPreError: If one has no place for the name, or there are too many.
    """
    typed = list(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))
    wrong = [part for part in typed if len(_NAME.findall(part)) != 1]
    if wrong:
        raise ScaPreError(
            f"wordings: {shorten(wrong[0])} needs NAME once, where the name stands. Write ; between wordings."
        )
    if len(typed) > _MOST:
        raise ScaPreError(f"wordings: {len(typed)} are too many; {_MOST} are possible.")
    return tuple(_read(part) for part in typed) or WORDINGS


def _read(part: str) -> Wording:
    before, after = _NAME.split(part)
    return Wording(before, after, " ".join(f"{before} {after}".split()).replace(" ,", ","))


def check_names(names: Sequence[str], wordings: Sequence[Wording]) -> None:
    """Accepts names that say something beside the prompts they are compared with.

    Raises:
        ScaPreError: If one is such a prompt.
    """
    bases = {normalise(wording.base) for wording in wordings}
    same = [name for name in names if normalise(name) in bases]
    if same:
        raise ScaPreError(
            f"names: {shorten(same[0])} is itself a prompt that names are compared with, so nothing of it can be "
            "measured. Take it out, or type other wordings."
        )
