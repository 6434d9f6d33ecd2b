"""A list from a file, where nobody looks on: read as it is surely meant, or refused with the ways to say how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ScaPreError, shorten
from .readings import READINGS, Readings, readings

AUTO = "auto"
_LONGEST_HEAD = 40


@dataclass(frozen=True)
class Choice:
    """How somebody wants a list to be read.

    Attributes:
        reading: One of `READINGS`, or `AUTO`.
        column: Column of the names, by its head or number; empty leaves it open.
        hints: What to do to choose a reading or a column, for messages: with `{}` in the place of the choice.
    """

    reading: str = AUTO
    column: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)

    def hint(self, kind: str, value: str) -> str:
        """How to choose a value."""
        return self.hints[kind].format(value)


def read_listed(text: str, where: str, choice: Choice) -> tuple[tuple[str, ...], str]:
    """The lines of a list, for the parsers, and what it looks like if that is not a name a line.

    Comments are left out.

    Args:
        text: What the file says.
        where: What messages call it.
        choice: How it is to be read.

    Raises:
        ScaPreError: If it can be read in several ways and nobody has chosen one, or not in the chosen one.
    """
    try:
        found = readings(text, choice.column)
    except ScaPreError as error:
        raise ScaPreError(f"{where}: {error}") from None
    if choice.reading == AUTO:
        if found.unsure:
            raise ScaPreError(f"{where} looks like {found.said}, but {found.unsure}. {_ways(found, choice)}")
        return _lines(found, found.best), "" if found.shape.kind == "lines" else found.said
    if choice.reading not in READINGS:
        raise ScaPreError(f"{where} cannot be read as {shorten(choice.reading)}. Choose one of {', '.join(READINGS)}.")
    chosen = _lines(found, choice.reading)
    if not chosen:
        raise ScaPreError(f"{where} has no names when it is read as {choice.reading}. {_ways(found, choice)}")
    return chosen, f"{choice.reading}, as you chose; it looks like {found.said}"


def _lines(found: Readings, reading: str) -> tuple[str, ...]:
    return tuple(line for line in getattr(found, reading) if not line.startswith("#"))


def _ways(found: Readings, choice: Choice) -> str:
    """What to type for each reading, with the first name that it gives."""
    ways = [
        f"{choice.hint('reading', reading)} (first {shorten(lines[0], 40)})"
        for reading in READINGS
        if (lines := _lines(found, reading))
    ]
    if found.heads:
        ways.append(choice.hint("column", _typed_head(found)) + " or another column for names alone")
    return f"Say how to read it: {', '.join(ways)}."


def _typed_head(found: Readings) -> str:
    """The column of the names as it has to be typed: by its number where its head cannot be."""
    head = found.shape.name if found.shape.name in found.heads else found.heads[0]
    if not head.strip() or len(head) > _LONGEST_HEAD or '"' in head:
        return str(found.heads.index(head) + 1)
    return head if head.isalnum() else f'"{head}"'
