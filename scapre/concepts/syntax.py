"""The syntax of a list of names: lines, comments, arrows and quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import ScaPreError
from .names import clean

MAX_NAMES = 5_000

_ARROW = re.compile(r"->|→")
_COMMENT = re.compile(r"(?<!\S)#")
# A quoted field stands alone: what touches it on either side is white space, an arrow or the line's end.
_QUOTED = re.compile(r'(?<![^\s>→])(?:"[^"]*"|“[^”]*”)(?=\s|->|→|$)')
_QUOTES = {'"': '"', "“": "”"}


def lines(text: str, field: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers, cleaned and without comments.

    A `#` at the start of a line or after white space begins a comment.

    Raises:
        ScaPreError: If there are more than `MAX_NAMES`.
    """
    found = [(number, _strip_comment(clean(line))) for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1)]
    filled = [(number, line) for number, line in found if line]
    if len(filled) > MAX_NAMES:
        raise ScaPreError(
            f"{field}: {len(filled):,} names are more than one edit can hold ({MAX_NAMES:,}). Split the list."
        )
    return iter(filled)


def _unquoted_matches(pattern: re.Pattern[str], line: str) -> list[re.Match[str]]:
    spans = [match.span() for match in _QUOTED.finditer(line)]
    return [m for m in pattern.finditer(line) if not any(start <= m.start() < end for start, end in spans)]


def _strip_comment(line: str) -> str:
    signs = _unquoted_matches(_COMMENT, line)
    return line[: signs[0].start()].rstrip() if signs else line


def split_arrow(line: str) -> list[str]:
    """The fields between the arrows that no quotes protect."""
    cuts = _unquoted_matches(_ARROW, line)
    starts, ends = [0, *(m.end() for m in cuts)], [*(m.start() for m in cuts), len(line)]
    return [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def unquote(field: str) -> str:
    """A field without the double quotes around it, if it has them."""
    if len(field) > 1 and _QUOTES.get(field[0]) == field[-1]:
        inside = field[1:-1]
        if field[0] not in inside and field[-1] not in inside:
            return inside.strip()
    return field
