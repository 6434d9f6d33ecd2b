"""Lists in the notations of programs and documents: JSON, Python, YAML, Markdown, numbers and bullets."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .syntax import strip_comment

Rows = list[list[str]]

_ASSIGNED = re.compile(r"\s*[A-Za-z_]\w*\s*=\s*(?=[\[({])")
_NUMBER = re.compile(r"(?:\(?\d{1,5}[.):\]]|\[\d{1,5}\])\s+(?=\S)")
_BULLET = re.compile(r"(?:[-*+•‣◦▪·–—]|\[[ xX]\])\s+(?:\[[ xX]\]\s+)?(?=\S)")
_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
_KEY = re.compile(r"[^\W\d]\w*\s*:")


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


def notation_of(text: str, lines: Sequence[str]) -> Notation | None:
    """The notation of a text that is written in one; None for plain lines and for what only looks like one."""
    readers: tuple[Callable[[str, Sequence[str]], Notation | None], ...] = (_data, _markdown, _marked, _quoted)
    return next((found for read in readers if (found := read(text, lines)) is not None), None)


def _data(text: str, lines: Sequence[str]) -> Notation | None:
    """JSON, lines of JSON, or Python's literals."""
    assigned = _ASSIGNED.match(text)
    start = text[assigned.end() if assigned else 0 :].strip()
    if not start.startswith(("[", "(", "{")):
        return None
    for kind, load in (("JSON", json.loads), ("JSON", _json_lines), ("Python", ast.literal_eval)):
        try:
            value = load(start)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        try:
            return _flat(kind, value)
        except TypeError as error:
            return Notation(kind, unsure=str(error))
    return None


def _json_lines(text: str) -> list[Any]:
    found = [json.loads(line) for line in text.splitlines() if line.strip()]
    if len(found) < 2:
        raise ValueError("one value is no list")
    return found


def _flat(kind: str, value: Any) -> Notation:
    """A list of names, of tables with the same keys, a table of names and anchors, or one list under a key.

    Raises:
        TypeError: If it is none of these.
    """
    if isinstance(value, Mapping):
        if value and all(isinstance(one, str) for one in value.values()):
            pairs = ((_text(key), one) for key, one in value.items())
            return Notation(kind, rows=(("name", "anchor"), *pairs), unsure="its keys may be names, its values anchors")
        lists = [one for one in value.values() if isinstance(one, list | tuple)]
        if len(lists) != 1:
            raise TypeError("it holds no list of names, or several")
        (value,) = lists
    if not isinstance(value, list | tuple | set | frozenset):
        raise TypeError("it holds no list")
    if value and all(isinstance(one, Mapping) for one in value):
        heads = tuple(dict.fromkeys(_text(key) for one in value for key in one))
        return Notation(kind, rows=(heads, *(tuple(_text(one.get(head, "")) for head in heads) for one in value)))
    return Notation(kind, tuple(_text(one) for one in value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return "" if value is None else str(value)
    raise TypeError("it holds lists within its list, or values that are no names")


def _markdown(text: str, lines: Sequence[str]) -> Notation | None:
    """A table with a rule under its head."""
    rule = next((place for place, line in enumerate(lines) if place and "|" in line and _RULE.fullmatch(line)), None)
    if rule is None:
        return None
    rows = [line for line in (lines[rule - 1], *lines[rule + 1 :]) if "|" in line]
    return Notation("Markdown", rows=tuple(tuple(_cells(row)) for row in rows))


def _cells(row: str) -> Iterable[str]:
    inner = row.strip().removeprefix("|").removesuffix("|")
    return (cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner))


def _marked(text: str, lines: Sequence[str]) -> Notation | None:
    """A number or bullet before every name; headings and keys between them are left out. YAML's lists are such."""
    for kind, mark in (("numbers", _NUMBER), ("bullets", _BULLET)):
        marked = [line for line in lines if mark.match(line)]
        rest = [line for line in lines if not mark.match(line)]
        if kind == "numbers" and len({mark.match(line)[0] for line in marked}) < len(marked):  # type: ignore[index]
            continue  # 1. FC Köln, 1. FC Nürnberg
        keys = [line for line in rest if strip_comment(line).endswith(":")]
        if len(marked) > 1 and all(line in keys or re.match(r"#|---$|\.\.\.$", line) for line in rest):
            items = [_scalar(strip_comment(mark.sub("", line, count=1))) for line in marked]
            fields = any(re.match(r"\w+:\s", item) for item in items)
            why = (
                "it holds several lists"
                if len(keys) > 1
                else "some of its names have a key before them"
                if fields
                else ""
            )
            if not fields or not all(_KEY.match(item) for item in items):
                return Notation(kind, tuple(items), unsure=why)
        if kind == "bullets" and len(marked) > 1 and all(_KEY.match(mark.sub("", line, count=1)) for line in marked):
            return _records(lines, mark)
    return None


def _records(lines: Sequence[str], mark: re.Pattern[str]) -> Notation | None:
    """YAML's list of tables: `- name: cat`, and `anchor: dog` in the lines after it."""
    found: list[dict[str, str]] = []
    for line in lines:
        key, colon, value = mark.sub("", line, count=1).partition(":")
        if mark.match(line):
            found.append({})
        if colon and value.strip() and found:
            found[-1][key.strip()] = _scalar(value.strip())
    heads = tuple(dict.fromkeys(key for one in found for key in one))
    return Notation("YAML", rows=(heads, *(tuple(one.get(head, "") for head in heads) for one in found)))


def _scalar(item: str) -> str:
    """A name without the quotes, and the comma after them, that a notation puts around it."""
    bare = item.rstrip(",; ")
    return bare[1:-1].strip() if len(bare) > 1 and bare[0] in "\"'" and bare[0] == bare[-1] else item


def _quoted(text: str, lines: Sequence[str]) -> Notation | None:
    """A quoted name a line with a comma after it: a list of a program without its brackets."""
    some = [line for line in lines if not line.startswith("#")]
    fits = re.compile(r"""(?:"[^"]*"|'[^']*')\s*,?""")
    if len(some) < 2 or not all(map(fits.fullmatch, some)) or not any(line.endswith(",") for line in some):
        return None
    return Notation("quotes", tuple(_scalar(line) for line in some))
