"""Markdown's marks inside a line: links, emphasis and code, which are no part of a name."""

from __future__ import annotations

import re

_LINK = re.compile(
    r"!?\[(?P<text>[^\[\]]{1,300})\](?:\([^()]*(?:\([^()]*\)[^()]*){,3}\)|\[[^\[\]]*\])|\[\[(?:[^\[\]|]*\|)?(?P<page>[^\[\]|]+)\]\]"
)
_MARK = re.compile(r"(?<![\w\\])(?P<mark>\*\*\*|\*\*|__|~~|[*_`])(?=\S)(?P<text>.{1,200}?)(?<=\S)(?P=mark)(?!\w)")
_WITHIN = 3  # marks within marks
_LONGEST = 600  # characters of a line that is looked at; no name has more


def unmarked(text: str) -> str:
    """A text without the marks: `**[Monet](https://…)**` is Monet, and `M*A*S*H` stays as it is."""
    if len(text) > _LONGEST or not any(mark in text for mark in "[*_~`"):
        return text
    plain = _LINK.sub(lambda found: found["text"] or found["page"], text)
    for _ in range(_WITHIN):
        plain = _MARK.sub(lambda found: found["text"], plain)
    return plain


def has_more(text: str) -> bool:
    """Whether something else follows a link or an emphasised part that a text begins with, as an explanation does."""
    if len(text) > _LONGEST:
        return False
    found = _LINK.match(text) or _MARK.match(text)
    return bool(found and text[found.end() :].strip(" ,;.:"))
