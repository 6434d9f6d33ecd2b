"""How a name is written: what at its ends and inside it carries no word, and its plain spelling.

A text encoder reads "star," and "star" as different tokens, and an edit begins at a name's last token. So what people
leave at a name's ends (quotes, brackets, commas, weights, characters that no one sees) would move that place.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

_OPEN = "([{<«‹“„‘‚「『《〈【（［｛＜¿¡"
_CLOSE = ")]}>»›”“’‘」』》〉】）］｝＞?!"
_CLOSING = dict(zip(_OPEN, _CLOSE, strict=True))
_QUOTES = frozenset("\"'`")
_OPENING = {closing: opening for opening, closing in _CLOSING.items()}
_PAIRS = {**_CLOSING, "'": "'", '"': '"', "`": "`", "*": "*", "_": "_", "”": "”", "’": "’"}
_ATTACHED = frozenset("+#%$€£¥°♯♭")  # after a letter they belong to the word: C++, C#, 100%
_LEADING = frozenset("@#.&$€£¥+-−¡¿/\\%§№")  # before a letter they belong to the word: .hack, @name, #1, -ism
_TWINS = frozenset("/\\&@-−")  # leading signs that frame a name when they also end it: /star/, --star--
_MARKS = frozenset("™®©℠℗")  # symbols that stand beside a name and are none
_BLANK = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufeff\uffa0\ufffc")  # letters and marks of no ink
_JOINERS = frozenset("\u200c\u200d")  # Persian, Indic scripts and emoji are written with them
_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_TAGS, _FLAG = frozenset(map(chr, range(0xE0020, 0xE0080))), "\N{WAVING BLACK FLAG}"  # a flag is followed by its tags
_LONGEST = 2_000  # characters of a text that may be a name; what is longer is refused as it is
_MOST_PEELED = 100  # steps; who writes more around a name means it
_TIDY = re.compile("[A-Za-z0-9](?:[A-Za-z0-9 .&'-]*[A-Za-z0-9])?")  # most names: nothing in them has to be looked at
_WEIGHT = re.compile(r"\s*:\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)\s*$")
_LOOSE_WEIGHT = re.compile(r"(?<=\S)\s*:\s*[-+]?\d*\.\d+\s*$")  # without brackets only what can be no title: 2001: 2
_ESCAPED = re.compile(r"\\+(?=[()\[\]{}])")  # prompt tags write saber \(fate\), where bare brackets are a weight
_TAG = re.compile(r"<\s*/|/\s*>$")
# The dot of R.E.M., Jr. and Sheila E. is a part of them.
_ABBREVIATED = re.compile(r"(?:\b(?:[^\W\d_]\.){2,}|\s[A-Z]\.|\b(?:jr|sr|inc|ltd|co|corp|bros|esq)\.)$", re.IGNORECASE)
_PLAIN = str.maketrans({
    **dict.fromkeys("‘’‚‛′ʼ＇", "'"), **dict.fromkeys("“”„‟″＂", '"'), **dict.fromkeys("‐‑‒–—―−", "-"), "…": "...",
})  # fmt: skip


def carries(char: str) -> bool:
    """Whether a character can be a word or part of one: a letter, digit, mark upon a letter, or picture."""
    kind = unicodedata.category(char)
    return (kind[0] in "LNM" or kind == "So") and char not in _MARKS | _BLANK | _SELECTORS


def is_unseen(char: str) -> bool:
    """Whether nobody sees a character: format and direction marks, joiners, soft hyphens, blanks of no width."""
    return unicodedata.category(char) == "Cf" or char in _BLANK | _SELECTORS


def core(name: str) -> str:
    """A name up to its last character that carries a word; the whole name if none does."""
    end = next((i for i in range(len(name), 0, -1) if carries(name[i - 1])), len(name))
    return name[:end]


def is_bare(name: str) -> bool:
    """Whether a name is words alone, of the letters and signs that most names have: it means itself as it is typed."""
    return _TIDY.fullmatch(name) is not None


def tidy(name: str) -> str:
    """A name without what carries no word at its ends, and without characters that no one sees.

    Brackets that pair up inside a name stay (`Saber (Fate)`), and signs that belong to a word do (`C++`, `.hack`,
    `R.E.M.`). Backslashes before brackets are left out. A name of nothing else stays as it is.
    """
    return name if len(name) > _LONGEST or is_bare(name) else _tidied(name)


@lru_cache(2**12)  # a name is read, compared and noted in turn
def _tidied(name: str) -> str:
    left = _ESCAPED.sub("", _seen(name))
    if not any(map(carries, left)):
        return name
    for _ in range(_MOST_PEELED):
        if (shorter := _peel(left)) == left:
            return left if any(map(carries, left)) else name
        left = shorter
    return name


def _seen(name: str) -> str:
    """Without unseen characters, but for joiners inside scripts and pictures that need them, and their selectors."""
    kept = []
    for i, char in enumerate(name):
        around = name[i - 1 : i], name[i + 1 : i + 2]
        needed = char in _JOINERS and all(side and not side.isascii() for side in around)
        needed |= char in _SELECTORS and bool(around[0]) and not around[0].isalpha()
        needed |= char in _TAGS and _FLAG in name[:i]
        if needed or not is_unseen(char):
            kept.append(char)
    return "".join(kept)


def _peel(name: str) -> str:
    """One step: a pair around the name with its weight, or one character at an end."""
    name = name.strip()
    if len(name) > 2 and _PAIRS.get(name[0]) == name[-1] and _is_one_pair(name):
        return name if _TAG.search(name) else _WEIGHT.sub("", name[1:-1])
    if len(name) > 2 and name[0] in _TWINS and name[0] == name[-1]:
        return _framed(name)
    name = _LOOSE_WEIGHT.sub("", name) if ":" in name else name
    if name and _is_loose_end(name):
        return name[:-1]
    return name[1:] if name and _is_loose_start(name) else name


def _framed(name: str) -> str:
    """A name without the same signs on both sides; all of it where they also stand between its words: `/a/ or /b/`."""
    inside = name.strip(name[0])
    sign = re.escape(name[0])
    return name if re.search(rf"(?<!\w){sign}|{sign}(?!\w)", inside) else inside


def _is_one_pair(name: str) -> bool:
    """Whether the bracket that opens a name is closed by its last character: not in `(a) and (b)`."""
    opening, closing = name[0], name[-1]
    if opening == closing:
        return name.count(opening) == 2
    depth = 0
    for char in name[:-1]:
        depth += (char == opening) - (char == closing)
        if depth == 0:
            return False
    return True


def _is_loose_end(name: str) -> bool:
    last, before = name[-1], name[-2:-1]
    if carries(last) or last in _TAGS or (last in _SELECTORS and not before.isalpha()):
        return False
    if last in _ATTACHED and (carries(before or " ") or before == last):
        return False
    if last == "." and _ABBREVIATED.search(name):
        return False
    return not _is_paired(name, last, _OPENING.get(last))


def _is_paired(name: str, char: str, other: str | None) -> bool:
    """Whether a bracket or quote has its partner inside the name, as in `say "cheese"`."""
    if char in _QUOTES:
        return name.count(char) % 2 == 0
    return other is not None and name.count(other) >= name.count(char)


def _is_loose_start(name: str) -> bool:
    first, after = name[0], name[1:2]
    if unicodedata.category(after or " ")[0] == "M":  # a key with its number, in a picture
        return False
    if carries(first) or unicodedata.category(first)[0] == "M" or (first in _LEADING and not after.isspace()):
        return False
    return not _is_paired(name, first, _CLOSING.get(first))


def undotted(name: str) -> str:
    """A name without the dot of an abbreviation at its end."""
    return name[:-1] if name.endswith(".") and _ABBREVIATED.search(name) else name


def plain(name: str) -> str:
    """The spelling that prompts are likelier to have.

    Underscores become spaces, `&amp;` an ampersand, typographic quotes and dashes those of a keyboard, and full-width
    letters usual ones.
    """
    text = html.unescape(name).translate(_PLAIN).replace("_", " ")
    return " ".join(unicodedata.normalize("NFKC", text).split()) or name
