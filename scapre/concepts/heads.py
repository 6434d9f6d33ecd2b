"""What the heads of columns say: which hold names, which their anchors, and which neither."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import shorten

# What a column of names is called, the surest first. Of the first group that a table has, one head must be alone.
_NAMES = (
    {"name", "concept", "target", "nom", "nombre", "nome", "naam", "имя", "名称", "概念", "名字", "姓名"},
    {"artist", "painter", "photographer", "illustrator", "author", "celebrity", "celeb", "person", "character"}
    | {"艺术家", "画家", "人物", "角色"},
    {"object", "class", "subject", "term", "keyword", "word", "label", "对象", "词"},
    {"style", "风格"},
)
_FIRST, _LAST = {"first", "given", "forename"}, {"last", "family", "surname"}
_ANCHORS = {"anchor", "replacement", "replace", "replaced", "substitute", "锚点", "替代", "替换"}
_FROM, _TO = {"source", "from", "old", "before", "original"}, {"target", "to", "new", "after"}
_NEVER = {
    *("id", "number", "no", "index", "count", "seed", "prompt", "url", "link", "path", "file", "image", "year", "born"),
    *("died", "score", "date", "note", "notes", "description", "gender", "tag", "tags", "size", "width", "height"),
}  # fmt: skip
# What stands beside names and is no anchor. Alone in a line, or in another table, such a word may be a name.
_ASIDE = {
    *("type", "kind", "category", "group", "genre", "movement", "school", "era", "period", "century", "decade", "sex"),
    *("age", "birth", "birthday", "death", "country", "nation", "nationality", "region", "city", "place", "language"),
    *("birthplace", "origin", "occupation", "profession", "job", "role", "medium", "technique", "work", "comment"),
    *("remark", "caption", "text", "status", "rank", "rating", "weight", "strength", "frequency", "popularity", "vote"),
    *("serie", "franchise", "show", "movie", "film", "game", "universe", "color", "colour", "reference", "website"),
    *("email", "wikipedia", "wikidata", "page", "hash", "created", "updated", "added", "time", "timestamp", "example"),
    *("alias", "aka", "nickname", "synonym", "translation", "pronunciation", "bio", "biography", "about", "detail"),
    *("heading", "编号", "序号", "年份", "日期", "备注", "说明", "描述", "国家", "类别", "类型", "性别"),
    *("提示词", "链接", "数量"),
}  # fmt: skip
_SWITCHES = {"erase", "remove", "delete", "keep", "preserve", "retain", "enabled", "active", "include", "exclude"}
_WORDS = re.compile(r"[^\W_]+")
_SHOWN = 6
_LONGEST = 200  # characters of a head that are looked at

Candidates = list[tuple[int, ...]]


def columns_in(head: Sequence[str]) -> tuple[Candidates, list[int]]:
    """Columns that names may be in, all as surely as the first, and columns of anchors.

    First and last names that stand apart are one candidate of two columns.
    """
    words = [_words(cell) for cell in head]
    anchors = [place for place, own in enumerate(words) if own & _ANCHORS and len(own) < 4]
    free = [place for place, own in enumerate(words) if place not in anchors and not own & _NEVER and 0 < len(own) < 4]
    first, last = ([place for place in free if words[place] & kind] for kind in (_FIRST, _LAST))
    if len(first) == len(last) == 1:
        return [(first[0], last[0])], anchors
    found: Candidates = []
    for known in _NAMES:
        found += [(place,) for place in free if words[place] & known and (place,) not in found]
        if any("target" not in words[place] for (place,) in found):  # what is erased, or what takes its place
            break
    return found, anchors


def pair_in(head: Sequence[str]) -> tuple[int, int] | None:
    """The columns of what is replaced and of what replaces it, as in source and target; None where they are no pair."""
    words = [_words(cell) for cell in head]
    old, new = ([place for place, own in enumerate(words) if own & kind and len(own) < 4] for kind in (_FROM, _TO))
    return (old[0], new[0]) if len(old) == len(new) == 1 and old != new else None


def is_aside(cell: str) -> bool:
    """Whether a head says that its column holds something else than anchors."""
    return bool(_words(cell) & set().union(*_NAMES, _FIRST, _LAST, _NEVER, _ASIDE))


def is_switch(cell: str) -> bool:
    """Whether a head says that its column tells which rows are meant."""
    return bool(_words(cell) & _SWITCHES)


def is_head(line: str) -> bool:
    """Whether a line says nothing but what a column of names, or one beside it, is called."""
    words = _words(line)
    return bool(words) and words <= set().union(*_NAMES, _ANCHORS, _NEVER, _FIRST, _LAST)


def titled(cells: Sequence[str], joint: str = ", ") -> str:
    """Some heads for a message: of the first few, and how many more there are."""
    said = [shorten(cell, 40) if cell else "the column without a head" for cell in cells[:_SHOWN]]
    more = len(cells) - _SHOWN
    return joint.join([*said, f"{more:,} more"] if more > 0 else said)


def _words(cell: str) -> frozenset[str]:
    """Words of a head, in small letters and without the s of a plural, but for class, status and their like."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell[:_LONGEST])
    return frozenset(re.sub(r"(?<=\w\w[^siu])s$", "", word) for word in _WORDS.findall(parted.casefold()))
