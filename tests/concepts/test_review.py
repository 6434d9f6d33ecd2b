"""What a list is said to have, line by line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.concepts.names import normalise
from pack.scapre.concepts.review import review
from pack.scapre.concepts.syntax import MAX_NAMES
from pack.scapre.errors import ScaPreError


def said(text: str, anchor: str = "", preserve: str = "") -> list[tuple[int, Any]]:
    """Notes of the lines that have any, with the lines' numbers."""
    found = review(text, anchor, preserve)
    assert found.error is None
    return [(row.line, note) for row in found.rows for note in row.notes]


def test_rows_are_the_lines_that_name_something() -> None:
    rows = review("# painters\r\n\r\n Frida Kahlo # Mexico\n#off\ncat -> dog\r-> nothing", "art").rows
    assert [(row.line, row.concept and (row.concept.text, row.concept.anchor)) for row in rows] == [
        (3, ("Frida Kahlo", "art")),
        (5, ("cat", "dog")),
        (6, None),
    ]


def test_repeats_name_the_first_line() -> None:
    assert said("cat\ndog\nCAT\n cat  -> \n\uff23at -> dog") == [
        (3, {"kind": "duplicate", "line": 1}),
        (4, {"kind": "duplicate", "line": 1}),
        (5, {"kind": "conflict", "line": 1}),
    ]


def test_a_preserved_target_is_marked_whatever_else_the_list_has() -> None:
    assert said("cat\ndog\ncat", preserve="Cat # mine\na -> b\n!!\nowl") == [
        (1, {"kind": "preserved"}),
        (3, {"kind": "duplicate", "line": 1}),
        (3, {"kind": "preserved"}),
    ]


def test_what_the_parser_objects_to_stands_under_its_line() -> None:
    notes = said("ok\na -> b -> c\n!!\ncat -> cat\n" + "x" * 501 + f"\ny -> {'z' * 501}")
    assert [(line, note["kind"]) for line, note in notes] == [(line, "error") for line in (2, 3, 4, 5, 6)]
    assert notes[0][1]["text"].startswith('has more than one arrow: "a -> b -> c"')
    assert notes[1][1]["text"].startswith('"!!" has no letter')
    assert notes[2][1]["text"].startswith('"cat" is its own anchor')
    assert all("line 1" not in note["text"] for _, note in notes)


def test_neighbours_are_named_and_many_are_cut_short() -> None:
    assert said("Manet\nowl\nClaude Monet\nmanet") == [
        (1, {"kind": "near", "names": ["Claude Monet"], "more": False}),
        (3, {"kind": "near", "names": ["Manet"], "more": False}),
        (4, {"kind": "duplicate", "line": 1}),
    ]
    listed = "\n".join(["star", "red star", "blue star", "big star", "small star"])
    assert said(listed)[0] == (1, {"kind": "near", "names": ["red star", "blue star", "big star"], "more": True})


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n#off"])
def test_an_empty_list_is_no_mistake_yet(text: str) -> None:
    assert review(text) == review("")
    assert review(text).error is None


def test_a_mistake_in_another_input_is_said_once() -> None:
    found = review("a\nb", anchor="x" * 501)
    assert found.rows == ()
    assert found.error is not None and found.error.startswith("anchor: ")


@pytest.mark.parametrize("count", [MAX_NAMES + 1, 3 * MAX_NAMES])
def test_a_list_that_is_too_long_is_refused_as_the_parser_does(count: int) -> None:
    found = review("\n".join(f"name {number}" for number in range(count)))
    assert found.rows == ()
    assert found.error is not None and f"{count:,} names are more than one edit can hold" in found.error


def test_empty_lines_do_not_count() -> None:
    assert len(review("\n" * 2 * (MAX_NAMES - 2) + "cat\ndog").rows) == 2


def test_a_reader_with_a_memory_takes_the_place_of_the_parser() -> None:
    asked = []

    def read(line: str, anchor: str) -> str:
        asked.append((line, anchor))
        return "no"

    assert [row.notes for row in review("a\nb", "art", read=read).rows] == [[{"kind": "error", "text": "no"}]] * 2
    assert asked == [("a", "art"), ("b", "art")]


lines = st.text(st.sampled_from('ab #"->→“”\t\xa0'), max_size=12)


@given(st.lists(lines, max_size=6).map("\n".join), st.sampled_from(["", "a", '"b"']))
@settings(deadline=None, max_examples=400)
def test_the_review_and_the_parser_agree(text: str, anchor: str) -> None:
    found = review(text, anchor)
    kinds = {note["kind"] for row in found.rows for note in row.notes}
    try:
        parsed = parse_concepts(text, anchor)
    except ScaPreError as error:
        assert found.error or kinds & {"error", "conflict"} or "the list is empty" in str(error)
        return
    assert found.error is None and not kinds & {"error", "conflict"}
    first = {normalise(row.concept.text): row.concept for row in reversed(found.rows) if row.concept}
    assert [first[normalise(concept.text)] for concept in parsed.concepts] == list(parsed.concepts)
    repeats = [note for note in parsed.notes if "counts once" in note]
    assert sum(note["kind"] == "duplicate" for row in found.rows for note in row.notes) == len(repeats)
