"""How a pasted text is read as a list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pack.scapre.concepts.concepts import Concept, parse_concepts
from pack.scapre.concepts.readings import literal, readings
from pack.scapre.concepts.syntax import MAX_NAMES


def best(text: str) -> tuple[str, ...]:
    """The lines of the reading that is chosen, after its name."""
    found = readings(text)
    return (found.best, *getattr(found, found.best))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("cat", ("lines", "cat")),
        ("cat\r\n dog \r\rowl\n", ("lines", "cat", "dog", "owl")),
        ("cat -> dog\n#off\n# heading\nowl # remark", ("lines", "cat -> dog", "#off", "# heading", "owl # remark")),
        ("cat, dog,owl", ("commas", "cat", "dog", "owl")),
        ("cat; dog", ("commas", "cat", "dog")),
        ("猫\uff0c狗\u3001鸟\uff1b鱼", ("commas", "猫", "狗", "鸟", "鱼")),
        ("cat -> dog, owl", ("commas", "cat -> dog", "owl")),
        ("cat, dog,\nowl, fox,\nbat", ("commas", "cat", "dog", "owl", "fox", "bat")),
        ("one,two,three\nfour,five,six", ("commas", "one", "two", "three", "four", "five", "six")),
        ("Monet, Claude\nVincent van Gogh\nFrida Kahlo", ("lines", "Monet, Claude", "Vincent van Gogh", "Frida Kahlo")),
        ("cat,dog\nowl,fox", ("columns", "cat -> dog", "owl -> fox")),
        ("cat\tdog", ("columns", "cat -> dog")),
        ("cat\tdog\nowl", ("columns", "cat -> dog", "owl")),
        ("cat;dog\nowl;", ("columns", "cat -> dog", "owl")),
        ("name,anchor\ncat,dog\nowl,", ("columns", "cat -> dog", "owl")),
        ("Anchor,Year,Artist\nart,1890,van Gogh\n,1907,Picasso", ("columns", "van Gogh -> art", "Picasso")),
        ("concepts;notes\ncat;x", ("columns", "cat")),
        ('name,anchor\n"Dali, Salvador","a ""b"""', ("columns", 'Dali, Salvador -> a "b"')),
        ("name,anchor\n#1 hit,a -> b\n,lost", ("columns", '"#1 hit" -> "a -> b"')),
        ("\ufeffname,anchor\ncat,dog", ("columns", "cat -> dog")),
        ("", ("lines",)),
        (" \n\t\n", ("lines",)),
        (", ,", ("commas",)),
    ],
)  # fmt: skip
def test_the_best_reading(text: str, chosen: tuple[str, ...]) -> None:
    assert best(text) == chosen


def test_every_reading_is_offered() -> None:
    found = readings("cat, dog\nowl, fox")
    assert (found.best, found.lines) == ("columns", ("cat, dog", "owl, fox"))
    assert (found.commas, found.columns) == (("cat", "dog", "owl", "fox"), ("cat -> dog", "owl -> fox"))


def test_a_text_of_far_too_many_names_is_read_as_lines_alone() -> None:
    many = [f"a,{number}" for number in range(MAX_NAMES + 1)]
    found = readings("\n".join(many))
    assert (found.best, found.lines, found.commas, found.columns) == ("lines", tuple(many), (), ())
    assert readings("\n".join(many[:10])).best == "columns"


def test_a_field_that_csv_refuses_leaves_the_other_readings() -> None:
    found = readings("x" * 200_000 + "\ny")
    assert (found.best, found.columns) == ("lines", ())
    assert len(found.commas) == 2


@given(st.text(st.sampled_from('ab1é #"->→,;'), max_size=20).filter(lambda name: any(map(str.isalnum, name))))
def test_a_literal_name_is_read_as_it_is(name: str) -> None:
    assert parse_concepts(literal(name)).concepts == (Concept(" ".join(name.split())),)


@pytest.mark.parametrize("name", ["!!", "-> →", "", '"“"'])
def test_what_is_no_name_however_it_is_typed_stays_as_it_is(name: str) -> None:
    assert literal(name) == name


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    found = readings(text)
    assert all(line == line.strip() and line for line in (*found.lines, *found.commas, *found.columns))
