"""The one family of errors that a user can cause."""

from __future__ import annotations

from collections.abc import Sequence


class ScaPreError(ValueError):
    """A mistake in the input. The message says what was wrong, shows the value and says what to do."""


def shorten(value: object, limit: int = 60) -> str:
    """Quotes a user's value for a message, cut to `limit` characters so that the message stays readable."""
    text = str(value).encode(errors="backslashreplace").decode()  # halves of characters cannot be shown or sent
    if text and not any(char.isprintable() for char in text):
        text = text.encode("unicode_escape").decode()  # else nobody sees what was given
    return f'"{text}"' if len(text) <= limit else f'"{text[: limit - 1]}…" ({len(text):,} characters)'


def some(names: Sequence[object], most: int) -> str:
    """The first of some names, for a sentence."""
    return ", ".join(map(shorten, names[:most])) + (" …" if len(names) > most else "")
