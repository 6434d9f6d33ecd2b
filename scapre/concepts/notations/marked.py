"""Lists with a number or bullet before every name, in documents and in YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..syntax import strip_comment
from .markup import has_more, unmarked
from .notation import Notation, scalar, table_from

_NUMBER = re.compile(r"(?:\(?\d{1,5}[.):\]]|\[\d{1,5}\])\s+(?=\S)")
_BULLET = re.compile(r"(?:[-*+\u2022\u2023\u25e6\u25aa\u00b7\u2013\u2014]|\[[ xX]\])\s+(?:\[[ xX]\]\s+)?(?=\S)")
_EITHER = re.compile(f"{_NUMBER.pattern}|{_BULLET.pattern}")
_KEY = re.compile(r"[^\W\d]\w*\s*:")
_FIELD = re.compile(r"\w+:\s")
_ASIDE = re.compile(r"#|---$|\.\.\.$")
_DEEPER = 2  # columns that a line is indented by at least under another


def marked(lines: Sequence[str], indents: Sequence[int]) -> Notation | None:
    """A number or bullet before every name; headings and keys between them are left out. YAML's lists are such."""
    for kind, mark in (("numbers", _NUMBER), ("bullets", _BULLET), ("bullets", _EITHER)):
        places = [place for place, line in enumerate(lines) if mark.match(line)]
        depths = [indents[place] for place in places]
        items = [mark.sub("", lines[place], count=1) for place in places]
        if len(items) < 2 or (mark is _EITHER and not _is_nested(depths)):
            continue
        if kind == "numbers" and _repeats([lines[place] for place in places]):
            continue  # 1. FC Köln, 1. FC Nürnberg
        rest = [line for line in lines if not mark.match(line)]
        keys = [line for line in rest if strip_comment(line).endswith(":")]
        keyed = all(map(_KEY.match, items))
        if all(strip_comment(line).endswith(":") or _ASIDE.match(line) for line in rest):
            names = list(map(_name, items))
            fields = any(map(_FIELD.match, names))
            if not (fields and keyed):
                why = "it holds several lists" if len(keys) > 1 else ""
                why = why or ("some of its names have a key before them" if fields else "")
                return Notation(kind, tuple(names), unsure=why) if why else _listed(kind, names, depths, items)
        if kind == "bullets" and keyed:
            return table_from("YAML", _records(lines, mark))
    return None


def _repeats(numbered: Sequence[str]) -> bool:
    """Whether a number occurs twice: then it may be a part of names."""
    numbers = [found[0] for line in numbered if (found := _NUMBER.match(line))]
    return len(set(numbers)) < len(numbers)


def _is_nested(depths: Sequence[int]) -> bool:
    return max(depths) >= min(depths) + _DEEPER


def _name(item: str) -> str:
    plain = strip_comment(item)
    bare = scalar(plain)
    return bare if bare != plain else unmarked(plain)


def _listed(kind: str, names: Sequence[str], depths: Sequence[int], items: Sequence[str]) -> Notation:
    """A list, or a table of headings and names where some lines stand under others."""
    if _is_nested(depths):
        rows = (("heading", "name"), *_under(names, depths))
        return Notation(kind, tuple(names), rows, "lines that others stand under may be headings or names")
    why = (
        "text stands after its links or emphasised names"
        if any(has_more(strip_comment(item)) for item in items)
        else ""
    )
    return Notation(kind, tuple(names), unsure=why)


def _under(names: Sequence[str], depths: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Each name that none stands under, with the one that it stands under."""
    over: list[tuple[int, str]] = []
    for name, depth, following in zip(names, depths, [*depths[1:], 0], strict=True):
        while over and depth < over[-1][0] + _DEEPER:
            over.pop()
        if following >= depth + _DEEPER:
            over.append((depth, name))
        else:
            yield over[-1][1] if over else "", name


def _records(lines: Sequence[str], mark: re.Pattern[str]) -> list[dict[str, str]]:
    """YAML's list of tables: `- name: cat`, and `anchor: dog` in the lines after it."""
    found: list[dict[str, str]] = []
    for line in lines:
        key, colon, value = mark.sub("", line, count=1).partition(":")
        if mark.match(line):
            found.append({})
        if colon and value.strip() and found:
            found[-1][key.strip()] = scalar(value.strip())
    return found
