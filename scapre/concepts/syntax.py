"""The syntax of a list of names: lines, comments, arrows and quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .names import clean
from .spelling import tidy
from .text import split_lines

MAX_NAMES = 5_000

_HEADS = ">→⇒↦⇨⇾➔➙➛➜➝➞➡⟶⟹⟼"
# Strokes and a head, or an arrow of one piece, which a selector may ask for as a picture. web/concepts/lines.mjs has
# the same, for an editor that need not ask.
_ARROW = re.compile(rf"(?<![-‐‑–—−=])[-‐‑–—−=]+>|[{_HEADS[1:]}]\ufe0f?")
_COMMENT = re.compile(r"(?<!\S)#")
# A quoted field stands alone: what touches it is white space, an arrow, the line's end, or a comma that parts a list.
_QUOTED = re.compile(rf'(?<![^\s{_HEADS}\ufe0f])(?:"[^"]*"|“[^”]*”)(?=\s|[,;]|{_ARROW.pattern}|$)')
_QUOTES = {'"': '"', "“": "”"}


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers, cleaned and without comments.

    A `#` at the start of a line or after white space begins a comment.
    """
    for number, line in enumerate(split_lines(text), 1):
        said = strip_comment(clean(line))
        if said:
            yield number, said


def _unquoted_matches(pattern: re.Pattern[str], line: str) -> list[re.Match[str]]:
    spans = [match.span() for match in _QUOTED.finditer(line)] if '"' in line or "“" in line else []
    return [m for m in pattern.finditer(line) if not any(start <= m.start() < end for start, end in spans)]


def strip_comment(line: str) -> str:
    """A line without its comment."""
    signs = _unquoted_matches(_COMMENT, line) if "#" in line else ()
    return line[: signs[0].start()].rstrip() if signs else line


def split_arrow(line: str) -> list[str]:
    """The fields between the arrows that no quotes protect."""
    cuts = _unquoted_matches(_ARROW, line)
    starts, ends = [0, *(m.end() for m in cuts)], [*(m.start() for m in cuts), len(line)]
    return [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def read_field(field: str) -> str:
    """What a field names: literally what double quotes hold, else its text without what carries no word at its ends."""
    inside = unquote(field.rstrip(",; "))
    return inside if inside != field.rstrip(",; ") else tidy(field)


def unquote(field: str) -> str:
    """A field without the double quotes around it, if it has them."""
    if len(field) > 1 and _QUOTES.get(field[0]) == field[-1]:
        inside = field[1:-1]
        if field[0] not in inside and field[-1] not in inside:
            return inside.strip()
    return field
