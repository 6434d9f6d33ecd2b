"""Reads a text as a list of concepts in every way it can be meant, and says which fits and how surely."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import ScaPreError, shorten
from .concepts import Concept, parse_concepts
from .notations import Notation, notation_of
from .spelling import tidy
from .syntax import split_arrow
from .tables import Table, find_delimiter, rows_of, table_of
from .text import split_lines

_MARKS = ",;\N{FULLWIDTH COMMA}\N{FULLWIDTH SEMICOLON}\N{IDEOGRAPHIC COMMA}"
_BETWEEN = re.compile(rf"[{_MARKS}]")
_SURNAME = re.compile(r"[^\W\d_][^,;]*,\s+[^\W\d_][^,;]*")
_LIST = 3  # names between commas that are no surname and first name

Reading = Literal["lines", "commas", "columns", "inverted"]
READINGS: tuple[Reading, ...] = ("lines", "commas", "columns", "inverted")


@dataclass(frozen=True)
class Shape:
    """What a text looks like.

    Attributes:
        kind: `lines`, `commas`, `columns`, `inverted`, or a notation: JSON, Python, YAML, Markdown, numbers, bullets,
            quotes.
        columns: How many columns a table has.
        name: Head of the names' column, empty where there are no columns.
        anchor: Head of the anchors' column, if there is one.
        rows: Rows of a table, or names of another list.
    """

    kind: str
    columns: int = 0
    name: str = ""
    anchor: str = ""
    rows: int = 0

    @property
    def said(self) -> str:
        """The same in a few words."""
        if not self.name:
            return f"{_KINDS.get(self.kind, self.kind)}, {_many(self.rows, 'name')}"
        names = f"names from {_column(self.name)}" + (f", anchors from {_column(self.anchor)}" if self.anchor else "")
        return f"a table of {_many(self.columns, 'column')} and {_many(self.rows, 'row')}, {names}"


@dataclass(frozen=True)
class Readings:
    """What a text says, each as lines for `parse_concepts`, and none twice.

    Attributes:
        best: The reading that fits the text best.
        lines: A concept a line, as it is typed in a list; without the marks of a notation.
        commas: The same between commas, semicolons or line ends.
        columns: A table of names and, in a second column, anchors; what is in its cells is taken literally.
        inverted: Names written as in a register, the last name first, turned round.
        shape: What the text looks like.
        heads: What the columns are called that names can be taken from, or their numbers; empty for one column.
        unsure: Why the best reading is a guess; empty where it is not.
    """

    best: Reading
    lines: tuple[str, ...]
    commas: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    inverted: tuple[str, ...] = ()
    shape: Shape = Shape("lines")
    heads: tuple[str, ...] = ()
    unsure: str = ""

    @property
    def said(self) -> str:
        """What the text looks like and where its names are, in a few words."""
        return self.shape.said


_KINDS = {
    "lines": "a name a line", "commas": "names between commas", "inverted": "last names first, turned round",
    "numbers": "a numbered list", "bullets": "a list with bullets", "quotes": "quoted names", "JSON": "a JSON list",
    "Python": "a Python list",
}  # fmt: skip


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _column(head: str) -> str:
    return f"column {head}" if head.isdecimal() else shorten(head)


@dataclass(frozen=True)
class _Look:
    """A text looked at, before anything is read of it."""

    lines: tuple[str, ...]
    notation: Notation | None
    table: Table | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of a notation's plain list."""
        return self.notation.names if self.notation else ()

    def between(self) -> list[str]:
        """What stands between commas and line ends."""
        parts = (name.strip() for line in self.lines for name in _BETWEEN.split(line))
        return [name for name in parts if name]

    def is_register(self) -> bool:
        """Whether every line has a last name, a comma and a first name."""
        return bool(self.lines) and all(map(_SURNAME.fullmatch, self.lines))


def readings(text: str, column: str = "") -> Readings:
    """Reads a text in every way.

    A table may be separated by tabs, semicolons, bars or commas, quoted as in CSV, written in Markdown or as JSON, and
    have a head such as name,anchor.

    Args:
        text: What is in a file, or was pasted.
        column: The column of the names, by its head or its number from 1; empty leaves the choice.

    Raises:
        ScaPreError: If there is no such column.
    """
    look = _look(text, column)
    best, unsure = _best(look, column)
    table = look.table
    return Readings(
        best,
        lines=_once(map(literal, look.names) if look.names else look.lines),
        commas=_once(name if split_arrow(name)[1:] else tidy(name) for name in look.between()),
        columns=_once(_table_lines(table)),
        inverted=_once(_inverted(look)),
        shape=_shape(look, best),
        heads=table.heads if table and len(table.heads) > 1 else (),
        unsure=unsure,
    )


def shape_of(text: str) -> Shape:
    """What a text looks like, without reading it."""
    look = _look(text)
    return _shape(look, _best(look, "")[0])


def shape_note(text: str) -> tuple[str, ...]:
    """What to say of a typed list that looks like one of another shape: each of its lines is taken as a name."""
    shape = shape_of(text)
    if shape.kind == "lines":
        return ()
    return (f"the list looks like {shape.said}, but each of its lines was taken as one name; give each name a line",)


def literal(name: str) -> str:
    """A name as it has to be typed in a list: in quotes where it would mean something else without."""
    plain = " ".join(name.split())
    typed = (plain, f'"{plain}"', f"“{plain}”")
    return next((text for text in typed if _reads_as(text, plain)), plain)


def _reads_as(text: str, name: str) -> bool:
    try:
        return parse_concepts(text).concepts == (Concept(name),)
    except ScaPreError:
        return False


def _once(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for line in lines if line))


def _look(text: str, column: str = "") -> _Look:
    lines = tuple(line.strip() for line in split_lines(text.replace("\ufeff", "")) if line.strip())
    whole = "\n".join(lines)
    notation = notation_of(whole, lines)
    if notation and notation.names:
        rows: Sequence[Sequence[str]] = [[name] for name in notation.names]
    else:
        rows = notation.rows if notation else rows_of(whole, find_delimiter(lines))
    table = table_of(rows, column, True if notation and notation.rows else None)
    if column and table is None:
        heads = ", ".join(shorten(cell) for cell in (rows[0] if rows else ()))
        raise ScaPreError(
            f"column: there is no {shorten(column)}. Give one of {heads or 'the columns'}, or its number."
        )
    return _Look(lines, notation, table)


def _shape(look: _Look, best: Reading) -> Shape:
    kind, table = look.notation.kind if look.notation else best, look.table
    if best == "columns" and table:
        anchor = "" if table.anchor is None else table.heads[table.anchor]
        return Shape(kind, len(table.heads), table.title, anchor, len(table.rows))
    said = look.between() if best == "commas" else look.names or look.lines
    return Shape(kind, rows=sum(not name.startswith("#") for name in said))


def _table_lines(table: Table | None) -> Iterable[str]:
    entries = dict.fromkeys(table.entries()) if table else ()
    return (f"{literal(name)} -> {literal(anchor)}" if anchor else literal(name) for name, anchor in entries)


def _inverted(look: _Look) -> Iterable[str]:
    if look.is_register():
        for last, first in (line.split(",", 1) for line in look.lines):
            yield literal(f"{first.strip()} {last.strip()}")


def _best(look: _Look, column: str) -> tuple[Reading, str]:
    """The reading that fits best, and why it is a guess if it is one."""
    lines, table = look.lines, look.table
    if column:
        return "columns", ""
    if look.notation:
        why = look.notation.unsure or (table.unsure if table and look.notation.rows else "")
        return "columns" if look.notation.rows else "lines", why
    if table and (table.headed or _is_table(lines, table)):
        if not table.headed and look.is_register() and all(map(_is_person, lines)):
            return "inverted", "the names may be written with the last name first, or stand in two columns"
        return "columns", table.unsure
    if not _is_listed(lines) or (len(lines) > 1 and all(len(split_arrow(line)) > 1 for line in lines)):
        return "lines", _headless(lines)
    if all(len(_BETWEEN.split(line.rstrip(_MARKS))) == 1 for line in lines):
        return "commas", ""
    if len(lines) > 1 and table and len({len(row) for row in rows_of("\n".join(lines), find_delimiter(lines))}) == 1:
        return "commas", table.unsure
    few = len(look.between()) < _LIST
    return "commas", "two words with a comma between them may be two names or one" if few else ""


def _headless(lines: Sequence[str]) -> str:
    """Why plain lines may be a table of one column: the first is what such a column is called."""
    first = table_of([[lines[0], ""]]) if len(lines) > 1 else None
    return f"the first line, {shorten(lines[0])}, may be a head" if first and first.headed else ""


def _is_table(lines: Sequence[str], table: Table) -> bool:
    delimiter = find_delimiter(lines)
    if delimiter == "\t" and "\t" in "".join(lines):
        return True
    return len(lines) > 1 and all(delimiter in line for line in lines) and len(table.heads) == 2 and _is_full(lines)


def _is_full(lines: Sequence[str]) -> bool:
    """Whether the second cell of some row says something: commas at line ends alone make no table."""
    return any(not line.rstrip().endswith(tuple(_MARKS)) for line in lines)


def _is_person(line: str) -> bool:
    """Whether a line with one comma looks like last name, first name: both begin with a capital or have no case."""
    return all(part.strip()[:1].upper() == part.strip()[:1] for part in line.split(","))


def _is_listed(lines: Sequence[str]) -> bool:
    """Whether most lines have names between commas."""
    return sum(any(mark in line for mark in _MARKS) for line in lines) > len(lines) / 2
