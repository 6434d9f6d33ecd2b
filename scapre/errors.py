"""The one family of errors that a user can cause."""


class ScaPreError(ValueError):
    """A mistake in the input. The message says what was wrong, shows the value and says what to do."""


def shorten(value: object, limit: int = 60) -> str:
    """Quotes a user's value for a message, cut to `limit` characters so that the message stays readable."""
    text = str(value)
    return f'"{text}"' if len(text) <= limit else f'"{text[: limit - 1]}…" ({len(text):,} characters)'
