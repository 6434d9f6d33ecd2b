"""Words that the encoder answers alike: a table that was measured, read as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pack.scapre.concepts import aliases as module
from pack.scapre.concepts.aliases import aliases, alike

FILE = Path(module.__file__).with_name("aliases.txt")


def test_the_table_says_where_it_is_from_and_holds_nothing_but_words() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    assert "clip-similarwords 0.0.4.1 (MIT" in "".join(line for line in lines if line.startswith("#")).replace(
        "# ", " "
    )
    rows = [line for line in lines if not line.startswith("#")]
    assert len(rows) > 10_000
    assert all(re.fullmatch(r"[a-z]{3,}\t[a-z]{3,} \d{2,3}( [a-z]{3,} \d{2,3}){0,14}", row) for row in rows)
    near = {row.split("\t")[0]: row.split("\t")[1].split()[::2] for row in rows}
    assert all(word not in found and len(set(found)) == len(found) for word, found in near.items())


@pytest.mark.parametrize(
    ("name", "words"),
    [("cat", ["cats", "catday", "kitty", "feline", "gato", "kitten", "kot", "caturday"]), ("Nude", ["nudes", "naked"]),
     ("zebra", []), ("Vincent van Gogh", []), ("", []), ("猫", [])],
)  # fmt: skip
def test_words_that_call_up_the_same(name: str, words: list[str]) -> None:
    assert list(aliases(name)) == words


def test_what_is_not_held_goes_a_little_further_and_by_the_last_word() -> None:
    assert set(aliases("cat")) < set(alike("a black Cat")) and "kitties" in alike("cat")
    assert alike("Vincent van Gogh") == ("vangogh",) and alike("") == () and alike("zebra") == ()
