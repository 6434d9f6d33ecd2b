"""What a text in a notation says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..tables import is_huge


@dataclass(frozen=True)
class Notation:
    """What a text in some notation says.

    Attributes:
        kind: Name of the notation.
        names: Names, if it is a plain list.
        rows: Cells with a head, if it is a table.
        unsure: Why it is no plain list, if it is none.
    """

    kind: str
    names: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    unsure: str = ""


def table_from(kind: str, records: Sequence[Mapping[str, str]]) -> Notation:
    """Records as a table with a column for every key.

    They may have no key in common, so that the table would fill the memory: then it is none.
    """
    heads: dict[str, None] = {}
    for record in records:
        heads |= dict.fromkeys(record)
        if is_huge(len(heads), len(records)):
            return Notation(kind, unsure="its records have more keys than a table has columns")
    if not heads:
        return Notation(kind)
    return Notation(kind, rows=(tuple(heads), *(tuple(one.get(head, "") for head in heads) for one in records)))


def scalar(item: str) -> str:
    """A name without the quotes, and the comma after them, that a notation puts around it."""
    bare = item.rstrip(",; ")
    return bare[1:-1].strip() if len(bare) > 1 and bare[0] in "\"'" and bare[0] == bare[-1] else item
