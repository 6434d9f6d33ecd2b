"""Texts as tables: what parts the cells, and which columns hold names and anchors."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from .heads import Candidates, columns_in, is_aside, is_switch, pair_in, titled

_DELIMITERS = "\t;|,"
_MOST_COLUMNS = 1_000
_MOST_CELLS = 2**22  # with the empty ones that make rows of one length
_SAID = {"erase", "remove", "delete", "keep", "preserve", "retain", "include", "exclude", "skip", "ignore"}
_ANSWERS, _MARKS = {"yes", "no", "true", "false", "on", "off"}, {"y", "n", "x", "0", "1"}
_NUMBER = re.compile(r"[-+]?[\d.,%]+")


@dataclass(frozen=True)
class Table:
    """Rows of cells, and what their columns are.

    Attributes:
        rows: Cells of every row but the head, all of one length.
        heads: What the columns are called; without a head, their numbers.
        headed: Whether the first row says what the columns are.
        name: Columns of the names: two where first and last names stand apart.
        anchor: Column of their anchors, if there is one.
        unsure: Why the columns are a guess; empty where they are not.
    """

    rows: tuple[tuple[str, ...], ...]
    heads: tuple[str, ...]
    headed: bool
    name: tuple[int, ...] = (0,)
    anchor: int | None = None
    unsure: str = ""

    def entries(self) -> Iterator[tuple[str, str]]:
        """Names and their anchors, empty where there are none."""
        for row in self.rows:
            name = " ".join(row[place] for place in self.name if row[place])
            if name:
                yield name, "" if self.anchor is None else row[self.anchor]

    @property
    def title(self) -> str:
        """What the columns of the names are called."""
        return " ".join(self.heads[place] for place in self.name)


def find_delimiter(lines: Sequence[str]) -> str:
    """What parts the cells of most lines; a comma where nothing does."""
    if lines and (told := re.fullmatch(r"sep=(.)", lines[0])):
        return told[1]
    most = max(1, (len(lines) + 1) // 2)
    return next((sign for sign in _DELIMITERS if sum(sign in line for line in lines) >= most), ",")


def rows_of(text: str, delimiter: str) -> list[list[str]]:
    """The cells of a text, quoted as in CSV; none where a cell is longer than CSV allows."""
    text = re.sub(r"\Asep=.\n", "", text)  # Excel's own way to say what parts the cells
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return []
    cells = ([" ".join(cell.split()) for cell in row] for row in found)
    return [row for row in cells if any(row) and not row[0].startswith("# ")]


def table_of(rows: Sequence[Sequence[str]], column: str = "", headed: bool | None = None) -> Table | None:
    """The rows as a table; None where they are none, or more than a table has.

    Args:
        rows: Cells.
        column: The column of names as somebody chose it, by its head or its number from 1; empty leaves the choice.
        headed: Whether the first row is a head; None finds out.
    """
    width = max((len(row) for row in rows), default=0)
    if not width or is_huge(width, len(rows)):
        return None
    full = tuple((*row, *[""] * (width - len(row))) for row in rows)
    names, anchors = columns_in(full[0])
    if headed is None:
        headed = width > 1 and bool(names or pair_in(full[0]) or (anchors and full[0][0]))
    heads = full[0] if headed else tuple(str(number) for number in range(1, width + 1))
    table = Table(full[1:] if headed else full, heads, headed)
    if column:
        return _chosen(table, full, column)
    found = _guessed(table, names, anchors)
    if headed and any(len(row) > len(rows[0]) and any(row[len(rows[0]) :]) for row in rows):
        return replace(found, unsure="a row has more cells than the head, as if a comma stood in a name without quotes")
    return found


def is_huge(columns: int, rows: int) -> bool:
    """Whether a table of so many columns and rows is none that anybody writes, and would fill the memory."""
    return columns > _MOST_COLUMNS or columns * rows > _MOST_CELLS


def _chosen(table: Table, full: tuple[tuple[str, ...], ...], column: str) -> Table | None:
    """The table with somebody's column; a first row that has it as its head is one."""
    wanted = column.strip().casefold()
    first = [cell.casefold() for cell in full[0]]
    if wanted in first:
        return Table(full[1:], full[0], True, (first.index(wanted),))
    number = int(wanted) - 1 if wanted.isdecimal() else -1
    return replace(table, name=(number,)) if 0 <= number < len(first) else None


def _guessed(table: Table, names: Candidates, anchors: list[int]) -> Table:
    """The table with the columns that its head tells, or with the likeliest ones."""
    if not table.headed:
        if len(table.heads) == 2:
            return replace(table, anchor=1, unsure="no head says whether the second column holds anchors")
        return replace(table, unsure="no head says which column holds the names" if len(table.heads) > 1 else "")
    anchor = anchors[0] if anchors else None
    pair = None if anchors else pair_in(table.heads)
    if pair and set(names) <= {(pair[1],)}:
        old, new = (table.heads[place] for place in pair)
        why = f"the names may be in {titled([old])}, with their anchors in {titled([new])}, or the other way round"
        return replace(table, name=pair[:1], anchor=pair[1], unsure=why)
    name = names[0] if names else (next((p for p in range(len(table.heads)) if p != anchor), 0),)
    several = [table.heads[place] for places in names for place in places] or table.heads
    if len(names) != 1 and len(table.heads) > 1:
        return replace(table, name=name, anchor=anchor, unsure=f"the names may be in {titled(several, ' or in ')}")
    return _beside(replace(table, name=name, anchor=anchor))


def _beside(table: Table) -> Table:
    """The table with what its other columns may be, besides nothing that matters."""
    others = [place for place in range(len(table.heads)) if place not in table.name and place != table.anchor]
    cells = {place: {row[place].casefold() for row in table.rows} - {""} for place in others}
    told = next((place for place in others if _tells(table.heads[place], cells[place], len(others))), None)
    if told is not None:
        return replace(table, unsure=f"the column {titled([table.heads[told]])} may say which of its rows are meant")
    odd = [place for place in others if not is_aside(table.heads[place]) and any(map(_is_text, cells[place]))]
    if table.anchor is None and len(odd) == 1 and len(table.heads) <= 3:
        head = table.heads[odd[0]]
        said = f"the column {titled([head])} may hold" if head else "a column without a head may hold"
        return replace(table, anchor=odd[0], unsure=f"{said} anchors, or something else")
    return table


def _is_text(cell: str) -> bool:
    return not _NUMBER.fullmatch(cell) and cell not in _ANSWERS | _MARKS


def _tells(head: str, cells: Set[str], columns: int) -> bool:
    """Whether the different cells of a column say which rows to erase, and which to keep."""
    if is_switch(head) and cells and cells <= _SAID | _ANSWERS | _MARKS:
        return True
    return bool(cells) and cells <= _SAID | _ANSWERS and (columns == 1 or bool(cells & _SAID))
