"""Lists in the notations of programs and documents: JSON, Python, YAML, Markdown, numbers and bullets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .data import data
from .marked import marked
from .markup import unmarked
from .notation import Notation, scalar

__all__ = ["Notation", "notation_of"]

_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
_QUOTED = re.compile(r"""(?:"[^"]*"|'[^']*')\s*,?""")


def notation_of(lines: Sequence[str], indents: Sequence[int]) -> Notation | None:
    """The notation of a text that is written in one; None for plain lines and for what only looks like one.

    Args:
        lines: Filled ones, without white space around them.
        indents: Columns that stood before each.
    """
    return data("\n".join(lines)) or _markdown(lines) or marked(lines, indents) or _quoted(lines)


def _markdown(lines: Sequence[str]) -> Notation | None:
    """A table with a rule under its head."""
    rule = next((place for place, line in enumerate(lines) if place and "|" in line and _RULE.fullmatch(line)), None)
    if rule is None:
        return None
    rows = [line for line in (lines[rule - 1], *lines[rule + 1 :]) if "|" in line]
    return Notation("Markdown", rows=tuple(tuple(_cells(row)) for row in rows))


def _cells(row: str) -> Iterable[str]:
    inner = row.strip().removeprefix("|").removesuffix("|")
    return (unmarked(cell.strip().replace("\\|", "|")) for cell in re.split(r"(?<!\\)\|", inner))


def _quoted(lines: Sequence[str]) -> Notation | None:
    """A quoted name a line with a comma after it: a list of a program without its brackets."""
    some = [line for line in lines if not line.startswith("#")]
    if len(some) < 2 or not all(map(_QUOTED.fullmatch, some)) or not any(line.endswith(",") for line in some):
        return None
    return Notation("quotes", tuple(map(scalar, some)))
