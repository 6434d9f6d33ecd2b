"""Lists as programs write them: JSON, lines of JSON, and Python's literals."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from .notation import Notation, table_from

_ASSIGNED = re.compile(r"\s*[A-Za-z_]\w*\s*=\s*(?=[\[({])")

_PYTHON = re.compile(r"[\[({]\s*[\"'\d\[({-]")
_MOST_PYTHON = 2**19  # characters: a syntax tree takes a thousand times the memory


def data(text: str) -> Notation | None:
    """JSON, lines of JSON, or Python's literals."""
    assigned = _ASSIGNED.match(text)
    start = text[assigned.end() if assigned else 0 :].strip()
    if not start.startswith(("[", "(", "{")):
        return None
    for kind, load in (("JSON", json.loads), ("JSON", _json_lines), ("Python", ast.literal_eval)):
        if kind == "Python" and len(start) > _MOST_PYTHON:
            return Notation(kind, unsure="it is too long for one") if _PYTHON.match(start) else None
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
    if isinstance(value, Mapping) and value:
        if all(isinstance(one, str) for one in value.values()):
            pairs = ((_text(key), one) for key, one in value.items())
            return Notation(kind, rows=(("name", "anchor"), *pairs), unsure="its keys may be names, its values anchors")
        lists = [one for one in value.values() if isinstance(one, list | tuple)]
        if len(lists) != 1:
            raise TypeError("it holds no list of names, or several")
        (value,) = lists
    if not isinstance(value, list | tuple | set | frozenset | Mapping):
        raise TypeError("it holds no list")
    if value and all(isinstance(one, Mapping) for one in value):
        return table_from(kind, [{_text(key): _text(cell) for key, cell in one.items()} for one in value])
    return Notation(kind, tuple(map(_text, value)))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return "" if value is None else str(value)
    raise TypeError("it holds lists within its list, or values that are no names")
