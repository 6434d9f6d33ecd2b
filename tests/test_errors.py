"""How messages show a user's values."""

from __future__ import annotations

import pytest

from pack.scapre.errors import shorten


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("cat", '"cat"'),
        ("", '""'),
        (" ", '" "'),
        ("\u200b\u200d", '"\\u200b\\u200d"'),
        ("\n", '"\\n"'),
        ("a\u200b", '"a\u200b"'),
        ("\ud83d", '"\\ud83d"'),
        ("x" * 61, f'"{"x" * 59}…" (61 characters)'),
    ],
)
def test_a_value_is_quoted_so_that_it_can_be_seen(value: str, shown: str) -> None:
    assert shorten(value) == shown
