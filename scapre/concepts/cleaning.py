"""What to say of names that are read as other names than they look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import shorten
from .spelling import is_unseen
from .syntax import unquote

_FEW = 5  # names that are told one by one


@dataclass(frozen=True)
class Cleaned:
    """A field as typed in a line, and as it is read; line 0 is a field of its own."""

    line: int
    typed: str
    read: str


def notes_on(fields: Iterable[Cleaned], field: str) -> tuple[str, ...]:
    """What to say of fields that are read as other names than they look: of the first few, and how many more.

    Args:
        fields: What was read.
        field: The input that line 0 stands for.
    """
    changed = [one for one in fields if one.read not in (one.typed, unquote(one.typed))]
    said = [f"{f'line {one.line}' if one.line else field}: {_told(one)}" for one in changed[:_FEW]]
    more = len(changed) - _FEW
    return (*said, f"and {more:,} more names were cleaned like that") if more > 0 else tuple(said)


def _told(one: Cleaned) -> str:
    seen = "".join(char for char in one.typed if not is_unseen(char))
    if seen == one.read:
        return f"characters that no one sees are taken out of {shorten(one.read)}"
    return f"{shorten(one.typed)} is read as {shorten(one.read)}"
