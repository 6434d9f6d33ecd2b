"""Texts as tables: what parts the cells, and which columns hold names and anchors."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

# What a column of names is called, the surest first. Of the first group that a table has, one head must be alone.
_NAMES = (
    {"name", "concept", "target", "nom", "nombre", "nome", "naam", "имя", "名称", "概念", "名字", "姓名"},
    {"artist", "painter", "photographer", "illustrator", "author", "celebrity", "celeb", "person", "character"}
    | {"艺术家", "画家", "人物", "角色"},
    {"object", "class", "subject", "term", "keyword", "word", "label", "对象", "词"},
    {"style", "风格"},
)
_FIRST, _LAST = {"first", "given", "forename"}, {"last", "family", "surname"}
_ANCHORS = {"anchor", "replacement", "replace", "replaced", "substitute", "锚点", "替代", "替换"}
_NEVER = {
    *("id", "number", "no", "index", "count", "seed", "prompt", "url", "link", "path", "file", "image", "year", "born"),
    *("died", "score", "date", "note", "notes", "description", "gender", "tag", "tags", "size", "width", "height"),
}  # fmt: skip
_DELIMITERS = "\t;|,"
_WORDS = re.compile(r"[^\W_]+")


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
    """The rows as a table; None where they are none.

    Args:
        rows: Cells.
        column: The column of names as somebody chose it, by its head or its number from 1; empty leaves the choice.
        headed: Whether the first row is a head; None finds out.
    """
    width = max((len(row) for row in rows), default=0)
    if not width:
        return None
    full = tuple((*row, *[""] * (width - len(row))) for row in rows)
    names, anchors = _columns(full[0])
    if headed is None:
        headed = width > 1 and bool(names or (anchors and full[0][0]))
    heads = full[0] if headed else tuple(str(number) for number in range(1, width + 1))
    table = Table(full[1:] if headed else full, heads, headed)
    if column:
        return _chosen(table, full, column)
    found = _guessed(table, names, anchors)
    if headed and any(len(row) > len(rows[0]) and any(row[len(rows[0]) :]) for row in rows):
        return replace(found, unsure="a row has more cells than the head, as if a comma stood in a name without quotes")
    return found


def _chosen(table: Table, full: tuple[tuple[str, ...], ...], column: str) -> Table | None:
    """The table with somebody's column; a first row that has it as its head is one."""
    wanted = column.strip().casefold()
    first = [cell.casefold() for cell in full[0]]
    if wanted in first:
        return Table(full[1:], full[0], True, (first.index(wanted),))
    number = int(wanted) - 1 if wanted.isdecimal() else -1
    return replace(table, name=(number,)) if 0 <= number < len(first) else None


def _guessed(table: Table, names: list[tuple[int, ...]], anchors: list[int]) -> Table:
    anchor = anchors[0] if anchors else None
    if table.headed:
        name = names[0] if names else (next((p for p in range(len(table.heads)) if p != anchor), 0),)
        several = [table.heads[place] for places in names for place in places] or table.heads
        sure = len(names) == 1 or len(table.heads) == 1
        return replace(table, name=name, anchor=anchor, unsure="" if sure else f"the names may be in {_or(several)}")
    if len(table.heads) == 2:
        return replace(table, anchor=1, unsure="no head says whether the second column holds anchors")
    return replace(table, unsure="no head says which column holds the names" if len(table.heads) > 1 else "")


def _or(words: Sequence[str]) -> str:
    return " or in ".join(word or "the first column" for word in words)


def _columns(head: Sequence[str]) -> tuple[list[tuple[int, ...]], list[int]]:
    """Columns that names may be in, all as surely as the first, and columns of anchors."""
    words = [_words(cell) for cell in head]
    anchors = [place for place, own in enumerate(words) if own & _ANCHORS and len(own) < 4]
    free = [place for place, own in enumerate(words) if place not in anchors and not own & _NEVER and 0 < len(own) < 4]
    first, last = ([place for place in free if words[place] & kind] for kind in (_FIRST, _LAST))
    if len(first) == len(last) == 1:
        return [(first[0], last[0])], anchors
    for known in _NAMES:
        found: list[tuple[int, ...]] = [(place,) for place in free if words[place] & known]
        if found:
            return found, anchors
    return [], anchors


def is_head(line: str) -> bool:
    """Whether a line says nothing but what a column of names, or one beside it, is called."""
    words = _words(line)
    return bool(words) and words <= set().union(*_NAMES, _ANCHORS, _NEVER, _FIRST, _LAST)


def _words(cell: str) -> frozenset[str]:
    """Words of a head, in small letters and without the s of a plural, but for class and its like."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell)
    return frozenset(re.sub(r"(?<=[^s]{3})s$", "", word) for word in _WORDS.findall(parted.casefold()))
