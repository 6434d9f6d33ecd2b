"""Why plain lines may be something else than a name each: what nobody would type as a list of names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import shorten
from .heads import is_head

_PROGRAM = re.compile(r"(?:(?:export|const|let|var)\s+)?[\w.]+\s*(?::[^=]{1,40})?=\s*[\[({\"']")
_MARKUP = re.compile(r"<(?:[A-Za-z/][^>]*[/>\"]|[!?])")
_LINK = re.compile(r"\S\]\((?:https?:|[./#])")
_QUERY = re.compile(
    r"insert\s+into\s+\S+.*(?:values|select|\()|select\s.+\sfrom\s+\S|create\s+table\s|update\s+\S+\s+set\s"
    r"|delete\s+from\s+\S+\s+where\s|values\s*\(",
    re.IGNORECASE,
)
_PAIR = re.compile(r"[^:]+:\s+\S.*")
_SPACED = re.compile(r"\S+(?: \S+)*(?:\t| {2,})\S.*")

_COUNTED = re.compile(r"(?:\(?\d{1,5}(?:\s*[-.):\]]\s*|\s+)|[a-z][.)]\s+|[IVX]+[.)]\s+)\S.*")
_MARKED = re.compile(r"(?:[-*+\u2022]|\(?\d{1,5}[.)])\s+\S.*")
_BAR = re.compile(r"[^|]*\|.*")

_LONGEST = 1_000  # characters of a line that is looked at for a query

_KINDS = (  # what a line looks like, which share of all and how many of them make the doubt, and why
    (_PAIR.fullmatch, 1, 2, "what stands after its colons may be anchors"),
    (_SPACED.fullmatch, 1, 2, "its spaces may part columns"),
    (_COUNTED.fullmatch, 1, 2, "its lines may begin with numbers that count them"),
    (_MARKED.fullmatch, 0.5, 2, "some of its lines begin with numbers or bullets, and others do not"),
    (_BAR.fullmatch, 0.5, 1, "its bars may part names or columns"),
)


def foreign(lines: Sequence[str]) -> str:
    """Why a text is no list at all; empty where nothing says so."""
    if any(_PROGRAM.match(line) or _QUERY.match(line[:_LONGEST]) for line in lines):
        return "it looks like a part of a program"
    return "it looks like a page or XML" if any(_MARKUP.match(line) or _LINK.search(line) for line in lines) else ""


def doubt(lines: Sequence[str]) -> str:
    """Why lines may be no list of a name each; empty where nothing speaks against it.

    Args:
        lines: Filled ones, as they stand in the file.
    """
    some = [line for line in lines if not line.startswith("#")]
    if len(some) > 1 and is_head(some[0]):
        return f"the first line, {shorten(some[0])}, may be a head"
    for fits, share, least, why in _KINDS:
        count = sum(bool(fits(line)) for line in some)
        if count >= max(least, share * len(some)):
            return why
    return ""
