"""What a text looks like: a list a line, names between commas, a table, a register, or a notation; and how surely."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import ScaPreError, shorten
from .commas import LIST, are_listed, comma_doubt, is_labelled, is_long, is_open, names_in, parts
from .doubts import doubt, foreign
from .heads import titled
from .notations import Notation, notation_of
from .registers import are_people, have_suffixes, is_mixed, is_register
from .shapes import Shape
from .syntax import split_arrow
from .tables import Table, find_delimiter, rows_of, table_of
from .text import split_lines

Reading = Literal["lines", "commas", "columns", "inverted"]


@dataclass(frozen=True)
class Look:
    """A text looked at, before anything is read of it."""

    lines: tuple[str, ...]
    notation: Notation | None
    table: Table | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of a notation's list."""
        return self.notation.names if self.notation else ()

    @property
    def is_read(self) -> bool:
        """Whether a notation says what the names are, be it that there are none."""
        return self.notation is not None and bool(self.names or not (self.notation.rows or self.notation.unsure))

    @property
    def listed(self) -> tuple[str, ...]:
        """The names of a notation, else the lines."""
        return self.names if self.is_read else self.lines

    def between(self) -> list[str]:
        """What stands between commas and line ends."""
        return [name for line in self.lines for name in names_in(line)]


def look_at(text: str, column: str = "") -> Look:
    """Looks at a text.

    Args:
        text: What is in a file, or was typed or pasted.
        column: The column of the names, by its head or its number from 1; empty leaves the choice.

    Raises:
        ScaPreError: If there is no such column.
    """
    typed = [line for line in split_lines(text.replace("\ufeff", "")) if line.strip()]
    lines = tuple(line.strip() for line in typed)
    notation = notation_of(lines, list(map(_indent, typed)))
    if notation and not notation.rows:
        rows: Sequence[Sequence[str]] = [[name] for name in notation.names]
    else:
        rows = notation.rows if notation else rows_of("\n".join(lines), find_delimiter(lines))
    table = table_of(rows, column, True if notation and notation.rows else None)
    if column and table is None:
        heads = titled(rows[0]) if rows else "the columns"
        raise ScaPreError(f"column: there is no {shorten(column)}. Give one of {heads}, or its number.")
    return Look(lines, notation, table)


def _indent(line: str) -> int:
    """Columns before the first letter of a line."""
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())


def shape_in(look: Look, best: Reading) -> Shape:
    """The shape of a text that is read in a way."""
    kind, table = look.notation.kind if look.notation else best, look.table
    if best == "columns" and table:
        anchor = "" if table.anchor is None else table.heads[table.anchor]
        return Shape(kind, len(table.heads), table.title, anchor, len(table.rows))
    said = look.between() if best == "commas" else look.listed
    return Shape(kind, rows=len({name for name in said if name and (look.notation or not name.startswith("#"))}))


def best_reading(look: Look, column: str) -> tuple[Reading, str]:
    """The reading that fits best, and why it is a guess if it is one."""
    lines, table = look.lines, look.table
    if column:
        return "columns", ""
    if look.notation:
        if look.notation.rows and table:
            return "columns", look.notation.unsure or table.unsure
        return "lines", look.notation.unsure or ("it has more cells than a table" if look.notation.rows else "")
    if why := foreign(lines):
        return "lines", why
    if lines and is_labelled(lines[0]):
        return "commas", comma_doubt(lines)
    if table and table.headed:
        return "columns", table.unsure or _unclosed(lines) or _switched_off(lines[1:])
    if len(lines) > 1 and is_register(lines) and are_people(lines):
        return "inverted", "the names may be written with the last name first, or stand in two columns"
    if have_suffixes(lines):
        return "lines", "what stands after its commas may be a part of the names, or a name of its own"
    if table and _is_table(lines, table):
        return "columns", table.unsure
    if is_mixed(lines):
        return "inverted", "some of its names may be written with the last name first"
    if not are_listed(lines) or (len(lines) > 1 and all(len(split_arrow(line)) > 1 for line in lines)):
        several = any(len(parts(line)) >= LIST for line in lines)
        return "lines", "some of its lines hold several names between commas" if several else doubt(lines)
    return "commas", _comma_doubt(lines, table)


def _comma_doubt(lines: Sequence[str], table: Table | None) -> str:
    if why := comma_doubt(lines):
        return why
    if all(len(parts(line)) == 1 for line in lines):
        return ""
    if len(lines) > 1 and table and len({len(row) for row in rows_of("\n".join(lines), find_delimiter(lines))}) == 1:
        return table.unsure
    long = sum(map(is_long, lines))
    return "" if long >= len(lines) / 2 else "two words with a comma between them may be two names or one"


def _unclosed(lines: Sequence[str]) -> str:
    odd = "".join(lines).count('"') % 2
    return "a double quote is opened in it and never closed, so that rows may hang together" if odd else ""


def _switched_off(rows: Sequence[str]) -> str:
    """Why rows may be none: outside of tables, a number sign switches a name off, and in quotes it belongs to one."""
    off = next((row for row in rows if re.match(r"#[^\W_]", row)), "")
    return f"rows such as {shorten(off, 40)} may be switched off by the #, or begin with it" if off else ""


def _is_table(lines: Sequence[str], table: Table) -> bool:
    delimiter = find_delimiter(lines)
    if delimiter == "\t" and "\t" in "".join(lines):
        return True
    return len(lines) > 1 and all(delimiter in line for line in lines) and len(table.heads) == 2 and _is_full(lines)


def _is_full(lines: Sequence[str]) -> bool:
    """Whether the second cell of some row says something: commas at line ends alone make no table."""
    return not all(map(is_open, lines))
