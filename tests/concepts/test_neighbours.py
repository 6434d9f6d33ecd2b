"""Which names of a list look alike."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pack.scapre.concepts.names import normalise
from pack.scapre.concepts.neighbours import alike, neighbours


def near(*names: str) -> dict[str, list[str]]:
    """The neighbours of each name that has any."""
    return {
        name: [names[place] for place in found] for name, found in zip(names, neighbours(names), strict=True) if found
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("monet", "monet"),
        ("monet", "manet"),
        ("cat", "cats"),
        ("escher", "esher"),
        ("kahlo", "khalo"),
        ("a", "a"),
        ("1999", "1999"),
        ("葛飾北斎", "葛飾北斉"),
    ],
)
def test_words_are_alike(first: str, second: str) -> None:
    assert alike(first, second)
    assert alike(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cat", "car"),
        ("cat", "at"),
        ("monet", "magnet"),
        ("monet", "tenom"),
        ("kahlo", "hkalo2"),
        ("1998", "1999"),
        ("model3", "model4"),
        ("abcd", "badc"),
        ("", "abcd"),
    ],
)
def test_words_are_not_alike(first: str, second: str) -> None:
    assert not alike(first, second)
    assert not alike(second, first)


def test_a_name_is_near_the_names_that_hold_all_its_words() -> None:
    assert near("Manet", "Claude Monet", "Frida Kahlo", "monet's garden", "Frieda Kahlo") == {
        "Manet": ["Claude Monet", "monet's garden"],
        "Claude Monet": ["Manet"],
        "monet's garden": ["Manet"],
        "Frida Kahlo": ["Frieda Kahlo"],
        "Frieda Kahlo": ["Frida Kahlo"],
    }


def test_case_accents_punctuation_and_order_do_not_count() -> None:
    assert near("Édouard Manet", "MANET, edouard", "van Gogh", "Gogh (van)") == {
        "Édouard Manet": ["MANET, edouard"],
        "MANET, edouard": ["Édouard Manet"],
        "van Gogh": ["Gogh (van)"],
        "Gogh (van)": ["van Gogh"],
    }


def test_a_shared_word_alone_does_not_make_names_near() -> None:
    assert (
        near("Pablo Picasso", "Paul Cezanne", "Pablo Neruda", "art of the cat", "art of the dog", "art 12", "art 13")
        == {}
    )


def test_names_without_a_word_have_no_neighbours() -> None:
    assert near("☃", "☃☃", "", "a") == {}


def test_a_long_list_that_shares_its_words_is_answered() -> None:
    names = [f"style of artist {number}" for number in range(5000)]
    assert near(*names) == {}
    assert len(near(*names, "style of artist")["style of artist"]) > 3


def test_words_too_long_to_be_names_are_compared_as_they_are() -> None:
    word = "a" * 500
    assert near(word, word[:-1], f"{word} b") == {word: [f"{word} b"], f"{word} b": [word]}


words = st.text("abé1", min_size=1, max_size=6)


@given(st.lists(st.lists(words, min_size=1, max_size=3).map(" ".join), max_size=8, unique=True))
@settings(deadline=None)
def test_the_index_misses_no_pair(names: list[str]) -> None:
    def plain(name: str) -> set[str]:
        letters = unicodedata.normalize("NFD", normalise(name))
        return set("".join(char for char in letters if not unicodedata.combining(char)).split())

    def covered(longer: set[str], shorter: set[str]) -> bool:
        return all(any(alike(word, other) for other in longer) for word in shorter)

    for here, found in enumerate(neighbours(names)):
        own = plain(names[here])
        others = [(place, plain(name)) for place, name in enumerate(names) if place != here]
        assert list(found) == [
            place
            for place, other in others
            if (len(other) >= len(own) and covered(other, own)) or (len(own) >= len(other) and covered(own, other))
        ]
