"""Reads the names that a user types: what to erase, what replaces it, what to preserve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import ScaPreError, shorten
from .cleaning import Cleaned, notes_on
from .names import check_length, check_name, clean, normalise
from .syntax import MAX_NAMES, lines, read_field, split_arrow
from .text import split_lines


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


def parse_concepts(text: str, anchor: str = "") -> ConceptList:
    """Parses lines of `concept` or `concept -> anchor`.

    A `#` at the start of a line or after white space begins a comment. A field in double quotes is taken literally, so
    quotes protect arrows and number signs. Of another field, what carries no word at its ends is left out, as `tidy`
    has it. Everything else in a name (commas, brackets, weights, any script) is text.

    Args:
        text: The list, one concept a line.
        anchor: What a line without an arrow is replaced by; empty means the null prompt.

    Raises:
        ScaPreError: For a list or line that cannot be meant: empty, too long, only punctuation, a concept that equals
            its anchor, or one concept with two anchors.
    """
    default = read_field(clean(anchor))
    check_length(default, "anchor")
    found: dict[str, tuple[int, Concept]] = {}
    cleaned, repeated = [Cleaned(0, clean(anchor), default)], []
    for number, line in lines(text):
        concept = _parse_line(number, line, default)
        cleaned += _cleaned(number, split_arrow(line), (concept.text, concept.anchor))
        first, earlier = found.setdefault(normalise(concept.text), (number, concept))
        if first == number:
            continue
        if normalise(earlier.anchor) != normalise(concept.anchor):
            raise ScaPreError(
                f"concepts: lines {first} and {number} both erase {shorten(concept.text)}, but with different anchors "
                f"({shorten(earlier.anchor)} and {shorten(concept.anchor)}). Keep one of them."
            )
        repeated.append(f"line {number}: {shorten(concept.text)} is already in line {first} and counts once")
    if not found:
        raise ScaPreError(f"concepts: the list is empty{_why_empty(text)}")
    check_count(len(found), "concepts")
    notes = (*notes_on(cleaned, "anchor"), *repeated)
    return ConceptList(tuple(concept for _, concept in found.values()), notes)


def _why_empty(text: str) -> str:
    off = next((said for line in split_lines(text) if (said := clean(line))), "")
    if not off:
        return '. Type at least one name, one per line, such as "Vincent van Gogh".'
    return (
        f": each of its lines, such as {shorten(off)}, begins with a # and is a comment. Put a name that begins with "
        "one in double quotes."
    )


def _cleaned(number: int, typed: Sequence[str], read: Sequence[str]) -> list[Cleaned]:
    return [Cleaned(number, before, after) for before, after in zip(typed, read, strict=False)]


def check_count(count: int, field: str) -> None:
    """Accepts as many names as one edit can hold.

    Raises:
        ScaPreError: If there are more than `MAX_NAMES`.
    """
    if count > MAX_NAMES:
        raise ScaPreError(f"{field}: {count:,} names are more than one edit can hold ({MAX_NAMES:,}). Split the list.")


def parse_preserve(text: str, concepts: tuple[Concept, ...] = ()) -> tuple[str, ...]:
    """Parses the names to preserve, one a line, without repeats.

    Raises:
        ScaPreError: For a name that is also erased, has an arrow, is too long or is only punctuation.
    """
    targets = {normalise(concept.text) for concept in concepts}
    for one in _names(text, "preserve"):
        if normalise(one.read) in targets:
            raise ScaPreError(
                f"preserve: line {one.line}, {shorten(one.read)}, is also in concepts. One name cannot be erased and "
                "preserved; delete it from one of the two lists."
            )
    return parse_names(text, "preserve")


def parse_names(text: str, field: str) -> tuple[str, ...]:
    """Parses names without anchors, one a line, without repeats.

    Args:
        text: The list.
        field: The input that it came from, for messages.

    Raises:
        ScaPreError: For a name that has an arrow, is too long or is only punctuation, or for too many.
    """
    found: dict[str, str] = {}
    for one in _names(text, field):
        found.setdefault(normalise(one.read), one.read)
    check_count(len(found), field)
    return tuple(found.values())


def name_notes(text: str, field: str) -> tuple[str, ...]:
    """What to say of names without anchors that are read as other names than they look; see `parse_names`."""
    return tuple(f"{field}: {note}" for note in notes_on(_names(text, field), field))


def _names(text: str, field: str) -> Iterator[Cleaned]:
    for number, line in lines(text):
        if len(split_arrow(line)) > 1:
            raise ScaPreError(
                f"{field}: line {number} has an arrow: {shorten(line)}. Names in this list have no anchor; put the "
                "name in double quotes if the arrow belongs to it."
            )
        yield Cleaned(number, line, check_name(read_field(line), f"{field}: line {number}"))


def _parse_line(number: int, line: str, default: str) -> Concept:
    where = f"concepts: line {number}"
    fields = split_arrow(line)
    if len(fields) > 2:
        raise ScaPreError(
            f"{where} has more than one arrow: {shorten(line)}. Write `concept -> anchor`; put a name that contains an "
            "arrow in double quotes."
        )
    name = check_name(read_field(fields[0]), where)
    anchor = read_field(fields[1]) if len(fields) == 2 else default
    check_length(anchor, f"{where}, anchor")
    if normalise(name) == normalise(anchor):
        raise ScaPreError(
            f"{where}: {shorten(name)} is its own anchor, so nothing would be erased. Choose another anchor, or leave "
            "it empty."
        )
    return Concept(name, anchor)
