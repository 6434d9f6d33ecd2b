"""Reads a list of concepts line by line, and notes what its author should know about each line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ScaPreError
from .concepts import Concept, parse_concepts, parse_names
from .names import normalise
from .neighbours import neighbours
from .readings import shape_of
from .shapes import Shape
from .spelling import is_unseen
from .syntax import MAX_NAMES, lines, split_arrow, unquote
from .text import split_lines

_SHOWN = 3
_MOST_LINES = 20 * MAX_NAMES  # of a text that is looked at: more cannot be a list
_PLACE = re.compile(r"concepts: line 1(?:, anchor)?:? ")
_ANCHOR = "anchor: "

Note = Mapping[str, Any]
"""What kind of note it is under "kind", and the kind's details."""


@dataclass(frozen=True)
class Row:
    """One line that is neither empty nor a comment.

    Attributes:
        line: Its number in the text, from 1.
        concept: What it names; `None` where it cannot be read.
        notes: What to know about it.
    """

    line: int
    concept: Concept | None
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Review:
    """What a list says and what is wrong with it.

    Attributes:
        error: What is wrong with the list as a whole.
        rows: Its lines.
        shape: What the text looks like, if that is not a concept a line.
    """

    error: str | None
    rows: tuple[Row, ...] = ()
    shape: Shape | None = None


Reader = Callable[[str, str], Concept | str | None]


def review(text: str, anchor: str = "", preserve: str = "", read: Reader | None = None) -> Review:
    """Reviews a list of concepts. It never raises: what a parser objects to becomes a note.

    The kinds of notes are `error` (with its text), `cleaned` (with the name that is read, and whether all that was left
    out is unseen), `duplicate` and `conflict` (with the line that has the concept
    already, under the same or another anchor), `preserved`, and `near` (with some of the names, and whether there are
    more).

    Args:
        text: The list, as for `parse_concepts`.
        anchor: What lines without an arrow are replaced by.
        preserve: Names to preserve.
        read: `read_line`, or the same with a memory.
    """
    lines = split_lines(text)
    if len(lines) <= _MOST_LINES:
        rows = list(_rows(lines, anchor, read or read_line))
        if not any(_is_about_anchor(note) for row in rows for note in row.notes):
            firsts = _mark_repeats(rows)
            if len(firsts) <= MAX_NAMES:
                _mark_preserved(rows, preserve)
                _mark_neighbours(firsts)
                return Review(None, tuple(rows), _shape(text))
    try:
        parse_concepts(text, anchor)
    except ScaPreError as error:
        return Review(str(error))
    return Review(None)


def _shape(text: str) -> Shape | None:
    shape = shape_of(text)
    return None if shape.kind == "lines" else shape


def read_line(line: str, anchor: str) -> Concept | str | None:
    """The concept of a line, or why it has none; nothing for an empty line or a comment."""
    try:
        if not parse_names(line, "concepts"):
            return None
    except ScaPreError:
        pass  # an arrow, which these names may not have; or a mistake, which is found again
    try:
        return parse_concepts(line, anchor).concepts[0]
    except ScaPreError as error:
        return _PLACE.sub("", str(error), count=1)


def _rows(lines: Sequence[str], anchor: str, read: Reader) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        found = read(line, anchor)
        if isinstance(found, Concept):
            yield Row(number, found, _cleaned(line, found))
        elif found:
            yield Row(number, None, [{"kind": "error", "text": found}])


def _cleaned(line: str, concept: Concept) -> list[Note]:
    """Whether the name is read as another than it looks."""
    said = next(lines(line), None)
    typed = split_arrow(said[1])[0] if said else ""
    if concept.text in (typed, unquote(typed)):
        return []
    unseen = "".join(char for char in typed if not is_unseen(char)) == concept.text
    return [{"kind": "cleaned", "name": concept.text, "unseen": unseen}]


def _is_about_anchor(note: Note) -> bool:
    return note["kind"] == "error" and str(note["text"]).startswith(_ANCHOR)


def _mark_repeats(rows: Sequence[Row]) -> list[Row]:
    """Marks the concepts that an earlier line has; returns the rows that are the first of theirs."""
    firsts: dict[str, Row] = {}
    for row in rows:
        if row.concept is None:
            continue
        first = firsts.setdefault(normalise(row.concept.text), row)
        if first is not row and first.concept is not None:
            same = normalise(first.concept.anchor) == normalise(row.concept.anchor)
            row.notes.append({"kind": "duplicate" if same else "conflict", "line": first.line})
    return list(firsts.values())


def _mark_preserved(rows: Sequence[Row], preserve: str) -> None:
    kept: set[str] = set()
    for line in split_lines(preserve):
        try:
            kept.update(map(normalise, parse_names(line, "preserve")))
        except ScaPreError:
            continue  # the node says it when it runs
    for row in rows:
        if row.concept is not None and normalise(row.concept.text) in kept:
            row.notes.append({"kind": "preserved"})


def _mark_neighbours(rows: Sequence[Row]) -> None:
    names = [row.concept.text for row in rows if row.concept is not None]
    for row, near in zip(rows, neighbours(names), strict=True):
        if near:
            shown = [names[position] for position in near[:_SHOWN]]
            row.notes.append({"kind": "near", "names": shown, "more": len(near) > _SHOWN})
