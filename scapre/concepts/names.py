"""What a name is: when two are the same, which may be stored, and how one is hidden."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from ..errors import ScaPreError, shorten
from .spelling import carries, tidy, undotted

MAX_CHARACTERS = 500
HIDDEN = "\N{NO-BREAK SPACE}"


@lru_cache(2**15)  # a list of thousands is compared at every keystroke
def normalise(name: str) -> str:
    """The form in which two names count as the same.

    Compatible characters, case and white space are folded, and what carries no word at the ends is left out, with the
    dot of an abbreviation.
    """
    return " ".join(unicodedata.normalize("NFKC", undotted(tidy(name))).casefold().split())


def identity(name: str) -> str:
    """The form in which two names of edits count as the same: a hidden name is like no other."""
    return name if is_hidden(name) else normalise(name)


def clean(text: str) -> str:
    """Removes byte order marks and what is no character, folds white space; keeps every printable character."""
    text = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text.replace("\ufeff", ""))
    return " ".join(text.split())


def check_length(name: str, where: str) -> None:
    """Accepts names that are no paragraphs.

    Raises:
        ScaPreError: If it has more than `MAX_CHARACTERS` characters.
    """
    if len(name) > MAX_CHARACTERS:
        raise ScaPreError(
            f"{where}: {shorten(name)} is longer than {MAX_CHARACTERS} characters. Write one name per line."
        )


def check_name(name: str, where: str) -> str:
    """The name itself, if something in it can be read.

    Raises:
        ScaPreError: If it is too long, or has no letter, digit or symbol.
    """
    check_length(name, where)
    if not any(map(carries, name)):
        raise ScaPreError(
            f"{where}: {shorten(name)} has no letter, digit or symbol. A concept needs a name; "
            "delete the line or write one."
        )
    return name


def check_stored(name: str, where: str) -> str:
    """The name itself, if a parser could have given it, or if it is hidden.

    Raises:
        ScaPreError: If it is too long, or has characters that are not text.
    """
    typed = name.replace(HIDDEN, " ")
    if clean(typed) != typed:
        raise ScaPreError(f"{where}: {shorten(ascii(name))} is no name. It has control characters or stray spaces.")
    check_length(name, where)
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
