"""Reads a text as a list of concepts in every way it can be meant, and says which fits and how surely."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ScaPreError
from .concepts import Concept, parse_concepts
from .looks import Reading, best_reading, look_at, shape_in
from .registers import turned
from .shapes import Shape
from .spelling import is_bare, tidy
from .syntax import unquote
from .tables import Table

READINGS: tuple[Reading, ...] = ("lines", "commas", "columns", "inverted")


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
    commas: tuple[str, ...]
    columns: tuple[str, ...]
    inverted: tuple[str, ...]
    shape: Shape
    heads: tuple[str, ...]
    unsure: str

    @property
    def said(self) -> str:
        """What the text looks like and where its names are, in a few words."""
        return self.shape.said


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
    look = look_at(text, column)
    best, unsure = best_reading(look, column)
    table = look.table
    return Readings(
        best,
        lines=_once(map(literal, dict.fromkeys(look.listed)) if look.is_read else look.lines),
        commas=_once(map(_between, dict.fromkeys(look.between()))),
        columns=_once(_table_lines(table)),
        inverted=_once(map(literal, dict.fromkeys(turned(look.lines)))),
        shape=shape_in(look, best),
        heads=table.heads if table and len(table.heads) > 1 else (),
        unsure=unsure,
    )


def shape_of(text: str) -> Shape:
    """What a text looks like, without reading it."""
    look = look_at(text)
    return shape_in(look, best_reading(look, "")[0])


def shape_note(text: str) -> tuple[str, ...]:
    """What to say of a typed list that looks like one of another shape: each of its lines is taken as a name."""
    shape = shape_of(text)
    if shape.kind == "lines":
        return ()
    return (f"the list looks like {shape.said}, but each of its lines was taken as one name; give each name a line",)


def literal(name: str) -> str:
    """A name as it has to be typed in a list: in quotes where it would mean something else without.

    What carries no word at its ends is no part of it, wherever it comes from: where it needs no quotes it stays, so
    that the parser leaves it out and says so.
    """
    plain = " ".join(name.split())
    if is_bare(plain):
        return plain
    meant = tidy(plain)
    typed = (plain, f'"{meant}"', f"“{meant}”")
    return next((text for text in typed if _reads_as(text, meant)), plain)


def _between(name: str) -> str:
    """What stands between commas, as it has to be typed in a line of its own; a program's quotes are no part of it."""
    bare = unquote(name)
    if bare == name and len(name) > 2 and name[0] == name[-1] == "'" and name.count("'") == 2:
        bare = name[1:-1]
    return name if bare == name else literal(bare)


def _reads_as(text: str, name: str) -> bool:
    try:
        return parse_concepts(text).concepts == (Concept(name),)
    except ScaPreError:
        return False


def _once(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for line in lines if line))


def _table_lines(table: Table | None) -> Iterable[str]:
    entries = dict.fromkeys(table.entries()) if table else ()
    return (f"{literal(name)} -> {literal(anchor)}" if anchor else literal(name) for name, anchor in entries)
