"""Names between commas: what parts them, and what stands there that is no name, or only a part of one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import shorten
from .heads import columns_in

_MARKS = ",;\N{FULLWIDTH COMMA}\N{FULLWIDTH SEMICOLON}\N{IDEOGRAPHIC COMMA}\N{ARABIC COMMA}\N{ARABIC SEMICOLON}"
_PART = re.compile(rf'(?:"[^"]*"|[^{_MARKS}])+')
_COMMENT = re.compile(r"(?<!\S)#(?=\s|$).*")
_LABEL = re.compile(
    r"(?P<label>[^\W\d][^:\uff1a]{0,60})[:\uff1a]\s+(?=\S)|(?P<close>[^\W\d][^:\uff1a]{0,60})[:\uff1a](?=\S)"
)
_JOINED = re.compile(r"(?:and|or|und|oder|et|ou|y|e|&|\u0438|\u0438\u043b\u0438)\s+(?=\S)")
_JOINING = re.compile(r"\S\s+(?:and|or|und|oder|et|ou)\s+\S")
_BELONGING = re.compile(
    r"(?:jr|sr|ii|iii|iv|ph\.?\s?d|m\.?d|esq|inc|ltd|llc|co|corp|the|an?|le|la|les|el|los|der|die|das)\.?",
    re.IGNORECASE,
)
LIST = 3  # names between commas that are no surname and first name


def parts(line: str) -> list[str]:
    """What stands between the commas of a line that no double quotes protect, without its comment.

    A `#` right before a name is none: it may be one that is switched off, or begin with it.
    """
    found = (part.strip() for part in _PART.findall(_COMMENT.sub("", line)))
    return [part for part in found if part]


def names_in(line: str) -> list[str]:
    """The parts of a line, without a label such as `Artists:` and a word that joins the last to the others."""
    found = parts(line)
    if len(found) > 1:
        found[0] = found[0].removeprefix(_label(found[0], known=True))
        joined = _JOINED.match(found[-1])
        found[-1] = found[-1][joined.end() if joined else 0 :]
    return found


def _label(part: str, known: bool = False) -> str:
    """What stands before a name as its label, up to the name: a head of columns, or any words before a colon."""
    found = _LABEL.match(part)
    if found and (columns_in([found["label"] or found["close"]])[0] or (found["label"] and not known)):
        return found[0]
    return ""


def is_labelled(line: str) -> bool:
    """Whether a line begins with what its names are: `Artists: Monet, Manet`."""
    found = parts(line)
    return len(found) > 1 and bool(_label(found[0], known=True)) and not any(map(_label, found[1:]))


def comma_doubt(lines: Sequence[str]) -> str:
    """Why what stands between commas may be something else than names; empty where nothing says so."""
    for found in map(parts, lines):
        if len(found) < 2:
            continue
        if (label := _label(found[0])) and not any(map(_label, found[1:])):
            return f"{shorten(label.strip(), 40)} may be a label and no part of a name"
        if _JOINED.match(found[-1]) or (len(found) >= LIST and _JOINING.search(found[-1])):
            return f"the last name of a line, {shorten(found[-1], 40)}, may have a word that joins names"
        if belonging := next(filter(_BELONGING.fullmatch, found[1:]), ""):
            return f"{shorten(belonging)} may belong to the name before it"
    return ""


def is_open(line: str) -> bool:
    """Whether a line goes on in the next: it ends with a comma."""
    return line.endswith(tuple(_MARKS))


def is_long(line: str) -> bool:
    """Whether a line has more names than a last and a first one, or goes on."""
    return len(parts(line)) >= LIST or is_open(line)


def are_listed(lines: Sequence[str]) -> bool:
    """Whether most lines have names between commas."""
    return sum(len(parts(line)) > 1 or is_open(line) for line in lines) > len(lines) / 2
