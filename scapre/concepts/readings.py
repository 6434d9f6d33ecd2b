"""Reads a pasted text as a list of concepts in three ways, and says which fits best."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..errors import ScaPreError
from .concepts import Concept, parse_concepts
from .syntax import MAX_NAMES

_MARKS = ",;\N{FULLWIDTH COMMA}\N{FULLWIDTH SEMICOLON}\N{IDEOGRAPHIC COMMA}"
_BETWEEN = re.compile(rf"[{_MARKS}\n]")
_NAMES = {"name", "concept", "target", "artist", "style", "object", "名称", "概念"}
_ANCHORS = {"anchor", "replacement", "replace by", "replace with", "replaced by", "锚点", "替代"}

Reading = Literal["lines", "commas", "columns"]


@dataclass(frozen=True)
class Readings:
    """What a text says, each as lines for `parse_concepts`.

    Attributes:
        best: The reading that fits the text best.
        lines: A concept a line, as it is typed in a list.
        commas: The same between commas, semicolons or line ends.
        columns: A table of names and, in a second column, anchors; what is in its cells is taken literally.
    """

    best: Reading
    lines: tuple[str, ...]
    commas: tuple[str, ...] = field(default=())
    columns: tuple[str, ...] = field(default=())


def readings(text: str) -> Readings:
    """Reads a text in every way.

    A table may be separated by tabs, semicolons or commas, quoted as in CSV, and have a head such as name,anchor.
    """
    text = re.sub(r"\r\n?", "\n", text.replace("\ufeff", ""))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    between = [name for name in _BETWEEN.split(text) if name.strip()]
    if len(between) > 2 * MAX_NAMES:  # far more than one edit holds
        return Readings("lines", tuple(lines))
    delimiter = _delimiter(lines)
    rows = _rows(lines, delimiter)
    columns, headed = _columns(rows)
    return Readings(
        "columns" if headed or _is_table(lines, rows, delimiter) else "commas" if _is_listed(lines) else "lines",
        tuple(lines),
        tuple(name.strip() for name in between),
        tuple(columns),
    )


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


def _delimiter(lines: Sequence[str]) -> str:
    if any("\t" in line for line in lines):
        return "\t"
    return ";" if len(lines) > 1 and all(";" in line for line in lines) else ","


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        found = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except csv.Error:  # a field of more than 128 kB
        return []
    return [[cell.strip() for cell in row] for row in found if any(cell.strip() for cell in row)]


def _columns(rows: Sequence[Sequence[str]]) -> tuple[list[str], bool]:
    """Names with their anchors, and whether the first row is a head that says where they are."""
    head = [cell.casefold().removesuffix("s") for cell in rows[0]] if rows else []
    name = next((place for place, cell in enumerate(head) if cell in _NAMES), None)
    anchor = next((place for place, cell in enumerate(head) if cell in _ANCHORS), None)
    if name is None or len(head) < 2:
        return [_line(row[0], row[1] if len(row) > 1 else "") for row in rows if row[0]], False
    full = [[*row, *[""] * len(head)] for row in rows[1:]]
    return [_line(row[name], "" if anchor is None else row[anchor]) for row in full if row[name]], True


def _line(name: str, anchor: str) -> str:
    return f"{literal(name)} -> {literal(anchor)}" if anchor else literal(name)


def _is_table(lines: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    if delimiter == "\t":
        return True
    return len(lines) > 1 and all(delimiter in line for line in lines) and all(len(row) == 2 for row in rows)


def _is_listed(lines: Sequence[str]) -> bool:
    """Whether most lines have names between commas."""
    return sum(any(mark in line for mark in _MARKS) for line in lines) > len(lines) / 2
