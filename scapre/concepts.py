"""Reads the names that a user types: what to erase, what replaces it, what to preserve."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .errors import ScaPreError, shorten

MAX_NAMES = 5_000
MAX_CHARACTERS = 500

_ARROW = re.compile(r"->|→")
_COMMENT = re.compile(r"(?<!\S)#")
# A quoted field stands alone: what touches it on either side is white space, an arrow or the line's end.
_QUOTED = re.compile(r'(?<![^\s>→])(?:"[^"]*"|“[^”]*”)(?=\s|->|→|$)')
HIDDEN = "\N{NO-BREAK SPACE}"
_QUOTES = {'"': '"', "“": "”"}


@dataclass(frozen=True)
class Concept:
    """One name to erase and the text that takes its place.

    Attributes:
        text: The name.
        anchor: What takes its place; empty is the null prompt.
        templates: Wordings of its own; empty are those of its list.
    """

    text: str
    anchor: str = ""
    templates: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConceptList:
    """The parsed list and what the user should know about how it was read."""

    concepts: tuple[Concept, ...]
    notes: tuple[str, ...] = ()


def normalise(name: str) -> str:
    """The form in which two names count as the same: compatible characters, case and white space folded."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def identity(name: str) -> str:
    """The form in which two names of edits count as the same: a hidden name is like no other."""
    return name if is_hidden(name) else normalise(name)


def check_stored(name: str, where: str) -> str:
    """The name itself, if a parser could have given it, or if it is hidden.

    Raises:
        ScaPreError: If it is too long, or has characters that are not text.
    """
    typed = name.replace(HIDDEN, " ")
    if _clean(typed) != typed:
        raise ScaPreError(f"{where}: {shorten(ascii(name))} is no name. It has control characters or stray spaces.")
    _check_length(name, where)
    return name


def check_distinct(names: Iterable[str], where: str) -> None:
    """Accepts names that are all different.

    Raises:
        ScaPreError: If one occurs twice.
    """
    seen: set[str] = set()
    for name in names:
        if identity(name) in seen:
            raise ScaPreError(f"{where}: {shorten(name)} occurs twice. Keep one of them.")
        seen.add(identity(name))


def hidden_name(kind: str, number: int) -> str:
    """What stands for a name that is kept private, such as concept 1.

    It is written with a no-break space. The parsers fold that into a plain one, so nobody can type a hidden name.
    """
    return f"{kind}{HIDDEN}{number}"


def is_hidden(name: str) -> bool:
    """Whether a name stands for another."""
    return HIDDEN in name


def parse_concepts(text: str, anchor: str = "") -> ConceptList:
    """Parses lines of `concept` or `concept -> anchor`.

    A `#` at the start of a line or after white space begins a comment. A field in double quotes is taken literally, so
    quotes protect arrows and number signs. Everything else in a name (commas, brackets, weights, any script) is text.

    Args:
        text: The list, one concept a line.
        anchor: What a line without an arrow is replaced by; empty means the null prompt.

    Raises:
        ScaPreError: For a list or line that cannot be meant: empty, too long, only punctuation, a concept that equals
            its anchor, or one concept with two anchors.
    """
    default = _unquote(_clean(anchor))
    _check_length(default, "anchor")
    found: dict[str, tuple[int, Concept]] = {}
    notes: list[str] = []
    for number, line in _lines(text, "concepts"):
        concept = _parse_line(number, line, default)
        key = normalise(concept.text)
        if key not in found:
            found[key] = (number, concept)
            continue
        first, earlier = found[key]
        if normalise(earlier.anchor) != normalise(concept.anchor):
            raise ScaPreError(
                f"concepts: lines {first} and {number} both erase {shorten(concept.text)}, but with different anchors "
                f"({shorten(earlier.anchor)} and {shorten(concept.anchor)}). Keep one of them."
            )
        notes.append(f"line {number}: {shorten(concept.text)} is already in line {first} and counts once")
    if not found:
        raise ScaPreError(
            'concepts: the list is empty. Type at least one name, one per line, such as "Vincent van Gogh".'
        )
    return ConceptList(tuple(concept for _, concept in found.values()), tuple(notes))


def parse_preserve(text: str, concepts: tuple[Concept, ...] = ()) -> tuple[str, ...]:
    """Parses the names to preserve, one a line, without repeats.

    Raises:
        ScaPreError: For a name that is also erased, has an arrow, is too long or is only punctuation.
    """
    targets = {normalise(concept.text) for concept in concepts}
    for number, name in _names(text, "preserve"):
        if normalise(name) in targets:
            raise ScaPreError(
                f"preserve: line {number}, {shorten(name)}, is also in concepts. One name cannot be erased and "
                "preserved; delete it from one of the two lists."
            )
    return parse_names(text, "preserve")


def parse_names(text: str, field: str) -> tuple[str, ...]:
    """Parses names without anchors, one a line, without repeats.

    Args:
        text: The list.
        field: The input that it came from, for messages.

    Raises:
        ScaPreError: For a name that has an arrow, is too long or is only punctuation.
    """
    found: dict[str, str] = {}
    for _, name in _names(text, field):
        found.setdefault(normalise(name), name)
    return tuple(found.values())


def _names(text: str, field: str) -> Iterator[tuple[int, str]]:
    for number, line in _lines(text, field):
        if len(_split_arrow(line)) > 1:
            raise ScaPreError(
                f"{field}: line {number} has an arrow: {shorten(line)}. Names in this list have no anchor; put the "
                "name in double quotes if the arrow belongs to it."
            )
        yield number, _check_name(_unquote(line), f"{field}: line {number}")


def _lines(text: str, field: str) -> Iterator[tuple[int, str]]:
    lines = [(number, _strip_comment(_clean(line))) for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1)]
    filled = [(number, line) for number, line in lines if line]
    if len(filled) > MAX_NAMES:
        raise ScaPreError(
            f"{field}: {len(filled):,} names are more than one edit can hold ({MAX_NAMES:,}). Split the list."
        )
    return iter(filled)


def _clean(text: str) -> str:
    """Removes byte order marks and what is no character, folds white space; keeps every printable character."""
    text = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text.replace("\ufeff", ""))
    return " ".join(text.split())


def _unquoted_matches(pattern: re.Pattern[str], line: str) -> list[re.Match[str]]:
    spans = [match.span() for match in _QUOTED.finditer(line)]
    return [m for m in pattern.finditer(line) if not any(start <= m.start() < end for start, end in spans)]


def _strip_comment(line: str) -> str:
    signs = _unquoted_matches(_COMMENT, line)
    return line[: signs[0].start()].rstrip() if signs else line


def _split_arrow(line: str) -> list[str]:
    cuts = _unquoted_matches(_ARROW, line)
    starts, ends = [0, *(m.end() for m in cuts)], [*(m.start() for m in cuts), len(line)]
    return [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def _unquote(field: str) -> str:
    if len(field) > 1 and _QUOTES.get(field[0]) == field[-1]:
        inside = field[1:-1]
        if field[0] not in inside and field[-1] not in inside:
            return inside.strip()
    return field


def _parse_line(number: int, line: str, default: str) -> Concept:
    where = f"concepts: line {number}"
    fields = _split_arrow(line)
    if len(fields) > 2:
        raise ScaPreError(
            f"{where} has more than one arrow: {shorten(line)}. Write `concept -> anchor`; put a name that contains an "
            "arrow in double quotes."
        )
    name = _check_name(_unquote(fields[0]), where)
    anchor = _unquote(fields[1]) if len(fields) == 2 else default
    _check_length(anchor, f"{where}, anchor")
    if normalise(name) == normalise(anchor):
        raise ScaPreError(
            f"{where}: {shorten(name)} is its own anchor, so nothing would be erased. Choose another anchor, or leave "
            "it empty to replace the concept by the null prompt."
        )
    return Concept(name, anchor)


def _check_length(name: str, where: str) -> None:
    if len(name) > MAX_CHARACTERS:
        raise ScaPreError(
            f"{where}: {shorten(name)} is longer than {MAX_CHARACTERS} characters. Write one name per line."
        )


def _check_name(name: str, where: str) -> str:
    _check_length(name, where)
    if not any(unicodedata.category(char)[0] in "LN" or unicodedata.category(char) == "So" for char in name):
        raise ScaPreError(
            f"{where}: {shorten(name)} has no letter, digit or symbol. A concept needs a name; "
            "delete the line or write one."
        )
    return name
