"""What a text looks like, in words."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import shorten

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
