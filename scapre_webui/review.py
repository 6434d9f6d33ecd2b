"""What to know about a list, under it in the panel: what its lines are, and how the text encoder reads their names.

Every phrase is an element of its own, so that the host's localisation finds and replaces it, whatever names and numbers
stand beside it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..scapre.concepts.name_check import NameCheck
from ..scapre.concepts.shapes import Shape
from ..scapre.concepts.text import split_lines

_ROWS = 60
_LONGEST = 80
_SAID = {
    "duplicate": "is already in line",
    "conflict": "has another anchor in line",
    "preserved": "is also to be preserved: delete it from one of the two lists",
    "near": "is close to",
    "cleaned": "is read as",
    "spelling": "has other tokens than the plain spelling, which you may add:",
    "odd": "is cut into pieces that the text encoder hardly knows:",
    "long": "is too long for the text encoder: tokens, and the most it reads:",
    "alias": "is also called up by these words, which you may add:",
}
_NO_VOCABULARY = "Names are not measured: no vocabulary of the text encoder was found."
_SHAPES = "This does not look like a name a line, but like"


def html_of(check: NameCheck | None, concepts: str, anchor: str, preserve: str) -> str:
    """The panel's view of a list, as HTML; nothing for an empty one."""
    if not concepts.strip():
        return ""
    if check is None:
        return _line("muted", _phrase(_NO_VOCABULARY))
    found = check.check(concepts, anchor, preserve)
    if found["error"]:
        return _line("error", html.escape(found["error"]))
    rows, lines = found["rows"], split_lines(concepts)
    shape = found["shape"]
    head = [f"<b>{len(rows)}</b>", _phrase("line" if len(rows) == 1 else "lines")]
    parts = [_line("head", *head)]
    if shape:
        parts.append(_line("warning", _phrase(_SHAPES), _name(Shape(**shape).said)))
    noted = [row for row in rows if row["notes"]]
    shown = rows if len(rows) <= _ROWS else noted[:_ROWS]
    body = "".join(_row(row, lines[row["line"] - 1]) for row in shown)
    more = len(rows) - len(shown)
    rest = (
        _line("muted", f"{more}", _phrase("more lines, with nothing to note" if len(noted) <= _ROWS else "more lines"))
        if more
        else ""
    )
    return f'<div class="scapre-review">{"".join(parts)}<table>{body}</table>{rest}</div>'


def _row(row: Mapping[str, Any], line: str) -> str:
    pieces = " · ".join(row.get("pieces", ()))
    tokens = f"{row['tokens']} " + _phrase("token" if row["tokens"] == 1 else "tokens") if "tokens" in row else ""
    notes = "".join(_line(_kind(note), *_note(note)) for note in row["notes"])
    title = html.escape(pieces, quote=True)
    return (
        f"<tr><td>{row['line']}</td><td>{html.escape(_cut(line.strip()))}{notes}</td>"
        f'<td title="{title}">{tokens}</td></tr>'
    )


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _kind(note: Mapping[str, Any]) -> str:
    """How loud a note is."""
    return "error" if note["kind"] in ("error", "conflict", "preserved", "long") else "note"


def _note(note: Mapping[str, Any]) -> Iterator[str]:
    kind = note["kind"]
    if kind == "error":
        yield html.escape(str(note["text"]))
        return
    yield _phrase(_SAID[kind])
    if kind in ("duplicate", "conflict"):
        yield str(note["line"])
    elif kind == "near":
        yield ", ".join(map(_name, note["names"])) + (" …" if note["more"] else "")
    elif kind == "alias":
        yield ", ".join(map(_offered, note["names"]))
    elif kind == "cleaned":
        yield _name(note["name"])
    elif kind == "spelling":
        yield _offered(note["plain"])
    elif kind == "odd":
        yield _name(" · ".join(note["pieces"]))
    elif kind == "long":
        yield f"{note['tokens']} / {note['window']}"


def _phrase(text: str) -> str:
    return f"<span>{html.escape(text)}</span>"


def _name(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def _offered(text: str) -> str:
    """A name that a click adds to the list (`javascript/scapre.js`)."""
    return f'<code data-add="{html.escape(text, quote=True)}">{html.escape(text)}</code>'


def _line(kind: str, *parts: str) -> str:
    return f'<div class="scapre-{kind}">{" ".join(parts)}</div>'


PHRASES: Sequence[str] = (
    *_SAID.values(), _SHAPES, _NO_VOCABULARY, "line", "lines", "token", "tokens",
    "more lines, with nothing to note", "more lines",
)  # fmt: skip
"""All that the localisations should have."""
