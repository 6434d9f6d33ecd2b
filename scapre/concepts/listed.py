"""A list from a file, where nobody looks on: read as it is surely meant, or refused with the ways to say how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import ScaPreError, shorten
from .readings import READINGS, Readings, readings
from .syntax import split_arrow
from .text import split_lines

AUTO = "auto"
_LONGEST_HEAD = 40


@dataclass(frozen=True)
class Choice:
    """How somebody wants a list to be read.

    Attributes:
        reading: One of `READINGS`, or `AUTO`.
        column: Column of the names, by its head or number; empty leaves it open.
        hints: What to do to choose a reading or a column, for messages: with `{}` in the place of the choice.
        anchors: Whether the list may have anchors; without, those of a table are left out.
    """

    reading: str = AUTO
    column: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)
    anchors: bool = True

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
    _check(choice, where)
    try:
        found = readings(text, choice.column)
    except ScaPreError as error:
        raise ScaPreError(f"{where}: {error}") from None
    if choice.reading == AUTO:
        if found.unsure:
            raise ScaPreError(f"{where} looks like {found.said}, but {found.unsure}. {_ways(found, choice)}")
        return _lines(found, found.best, choice), _said(found, choice)
    chosen = _lines(found, choice.reading, choice)
    if not chosen:
        raise ScaPreError(f"{where} has no names when it is read as {choice.reading}. {_ways(found, choice)}")
    return chosen, f"{choice.reading}, as you chose; it looks like {found.said}"


def listed_text(text: str, where: str, choice: Choice) -> tuple[str, str]:
    """The same as one text: that of the file where each of its lines is a name, so that lines keep their numbers."""
    lines, said = read_listed(text, where, choice)
    own = (line.strip() for line in split_lines(text.replace("\ufeff", "")))
    if tuple(dict.fromkeys(line for line in own if line and not line.startswith("#"))) == lines:
        return text, said
    return "\n".join(lines), f"{said}; messages count its names as lines"


def _check(choice: Choice, where: str) -> None:
    if choice.reading not in (AUTO, *READINGS):
        raise ScaPreError(f"{where} cannot be read as {shorten(choice.reading)}. Choose one of {', '.join(READINGS)}.")
    if choice.column and choice.reading not in (AUTO, "columns"):
        raise ScaPreError(
            f"{where} cannot be read as {choice.reading} and by its column {shorten(choice.column)} at once: only a "
            f"table has columns. Leave out {choice.hint('reading', choice.reading)} or the column."
        )


def _lines(found: Readings, reading: str, choice: Choice) -> tuple[str, ...]:
    lines = tuple(line for line in getattr(found, reading) if not line.startswith("#"))
    if reading == "columns" and not choice.anchors:
        return tuple(dict.fromkeys(split_arrow(line)[0] for line in lines))
    return lines


def _said(found: Readings, choice: Choice) -> str:
    """What to say of a list that is read as it looks: nothing of names a line."""
    if found.shape.kind != "lines":
        left = found.best == "columns" and found.shape.anchor and not choice.anchors
        return f"{found.said}; this list needs no anchors, so they are left out" if left else found.said
    switched = [line for line in found.lines if re.match(r"#[^\s#]", line)]
    if switched and not _lines(found, "lines", choice):
        return (
            f"no name, because each line begins with a #, which switches it off; {shorten(switched[0], 40)} is a name "
            "in double quotes"
        )
    return ""


def _ways(found: Readings, choice: Choice) -> str:
    """What to type for each reading, with the first name that it gives."""
    ways = [
        f"{choice.hint('reading', reading)} (first {shorten(lines[0], 40)})"
        for reading in READINGS
        if (lines := _lines(found, reading, choice))
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
