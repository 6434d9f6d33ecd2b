"""Lists from files: decoded, parted into lines in one way, and refused in words where they can be meant in several."""

from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.concepts.listed import AUTO, Choice, listed_text, read_listed
from pack.scapre.concepts.readings import READINGS, readings
from pack.scapre.concepts.text import MOST_BYTES, decode, split_lines
from pack.scapre.errors import ScaPreError

HINTS = {"reading": "--as {}", "column": "--column {}"}
NAMES = "Émile Faure\nZoë Kraus\n梵高\n"
CODES = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


def listed(text: str, reading: str = AUTO, column: str = "") -> tuple[str, ...]:
    return read_listed(text, 'concepts: "a.csv"', Choice(reading, column, HINTS))[0]


@pytest.mark.parametrize("code", CODES)
def test_text_in_unicode_is_recognised(code: str) -> None:
    assert decode(NAMES.encode(code), "list") == NAMES


@pytest.mark.parametrize(
    "data", [NAMES[:21].encode("cp1252"), "梵高\n".encode("gb18030"), b"\xff\xfe\x00", b"a\0b\0c", b"\x80abc"]
)
def test_other_text_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(ScaPreError, match=r'concepts: "x" (is not UTF-(8|16) text|has zeros)'):
        decode(data, 'concepts: "x"')


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"PK\x03\x04rest", "spreadsheet"), (b"%PDF-1.7", "PDF"), (b"\xd0\xcf\x11\xe0", "office"),
     (b"\x80\x02}q", "a pickle"), (b"\x48\0\0\0\0\0\0\0{\"a\":1}", "safetensors"), (b"GGUF\x03\0\0\0", "GGUF"),
     (b"\x89PNG\r\n", "a picture"), (b"\x1f\x8b\x08", "an archive"), (b"SQLite format 3\0", "a database")],
)  # fmt: skip
def test_other_files_are_called_what_they_are(data: bytes, kind: str) -> None:
    with pytest.raises(ScaPreError, match=kind):
        decode(data, "list")


def test_a_checkpoint_is_called_one_however_large() -> None:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2**21 + 1)}, file)
    with pytest.raises(ScaPreError, match=r"a.ckpt is a PyTorch checkpoint, which holds no plain list. Give the list"):
        decode(file.getvalue(), "a.ckpt")


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"caf\xe9\n", 3), (b"\xef\xbb\xbfcaf\xe9\n", 6), ("\ufeffa\n".encode("utf-16-le") + b"\0\xd8", 6)],
)
def test_the_place_of_a_mistake_is_that_in_the_file(data: bytes, place: int) -> None:
    with pytest.raises(ScaPreError, match=rf"text \(byte {place}\)"):
        decode(data, "list")


def test_a_file_of_more_than_a_list_is_refused() -> None:
    with pytest.raises(ScaPreError, match="larger than 8 MB"):
        decode(b"a" * (MOST_BYTES + 1), "list")
    assert len(decode(b"a" * MOST_BYTES, "list")) == MOST_BYTES


@given(st.text(max_size=50))
def test_lines_are_those_of_python(text: str) -> None:
    ends = text.splitlines() + ([""] if not text or text.splitlines(keepends=True)[-1] != text.splitlines()[-1] else [])
    assert split_lines(text) == ends


@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_every_way_in_parts_lines_alike(end: str) -> None:
    text = f"Anna Berg{end}Carl Dietz"
    assert [concept.text for concept in parse_concepts(text).concepts] == ["Anna Berg", "Carl Dietz"]
    assert listed(text) == readings(text).lines == ("Anna Berg", "Carl Dietz")


def test_what_is_sure_is_read_and_told() -> None:
    lines, said = read_listed("# mine\nname,anchor\nstar,moon\nArlo Vane,", "x", Choice())
    assert lines == ("star -> moon", "Arlo Vane")
    assert said == 'a table of 2 columns and 2 rows, names from "name", anchors from "anchor"'
    assert listed("# a comment\n#off\nstar # remark\nArlo Vane") == ("star # remark", "Arlo Vane")


def test_a_guess_is_refused_with_the_ways_to_choose() -> None:
    with pytest.raises(ScaPreError) as raised:
        listed("Gogh, Vincent van\nMonet, Claude")
    said = str(raised.value)
    assert said.startswith('concepts: "a.csv" looks like last names first, turned round, 2 names, but the names may be')
    for way in ('--as lines (first "Gogh, Vincent van")', '--as commas (first "Gogh")', "--as columns",
                '--as inverted (first "Vincent van Gogh")', "--column 1"):  # fmt: skip
        assert way in said


@pytest.mark.parametrize(
    ("text", "hint"),
    [("Name,Anker\na,b", "--column Name or"), (",Anker,artist name\n1,a,b", '--column "artist name" or'),
     ("Anker,\na,b", "--column 1 or"), (f"{'x' * 41} name,Anker\na,b", "--column 1 or"), ("a,b\nc,d", "--column 1 or")],
)  # fmt: skip
def test_the_hint_names_the_column_as_it_is_typed(text: str, hint: str) -> None:
    with pytest.raises(ScaPreError, match=hint):
        listed(text)


@pytest.mark.parametrize(
    ("reading", "column", "lines"),
    [("lines", "", ["cat,dog", "owl,fox"]), ("commas", "", ["cat", "dog", "owl", "fox"]),
     ("columns", "", ["cat -> dog", "owl -> fox"]), (AUTO, "1", ["cat", "owl"]), (AUTO, "cat", ["owl"]),
     ("columns", "2", ["dog", "fox"])],
)  # fmt: skip
def test_a_choice_is_followed(reading: str, column: str, lines: list[str]) -> None:
    assert list(listed("cat,dog\nowl,fox", reading, column)) == lines


def test_a_choice_that_cannot_be_is_refused() -> None:
    with pytest.raises(ScaPreError, match="has no names when it is read as inverted"):
        listed("cat\ndog", "inverted")
    with pytest.raises(ScaPreError, match=f"cannot be read as .table.*Choose one of {', '.join(READINGS)}"):
        listed("cat\ndog", "table")
    with pytest.raises(ScaPreError, match=r'"a\.csv": column: there is no "7"'):
        listed("cat,dog\nowl,fox", column="7")


def test_a_reading_without_columns_has_none() -> None:
    for reading in ("lines", "commas", "inverted"):
        with pytest.raises(
            ScaPreError, match=f'read as {reading} and by its column "1" at once.*Leave out --as {reading}'
        ):
            listed("cat,dog\nowl,fox", reading, "1")


def test_anchors_of_a_table_are_left_out_where_they_are_not_needed() -> None:
    text = 'name,anchor\nstar,moon\n"a -> b","c -> d"\nstar,sun'
    lines, said = read_listed(text, "x", Choice(anchors=False))
    assert lines == ("star", '"a -> b"') and said.endswith("needs no anchors, so they are left out")
    assert read_listed("name,born\nstar,1", "x", Choice(anchors=False))[1].endswith('from "name"')
    assert read_listed("star -> moon", "x", Choice(anchors=False))[0] == ("star -> moon",)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("# a\n\nstar\n star \n#off\nmoon", True), ("star", True), ("", True), ("- star\n- moon", False),
     ("name,born\nstar,1", False), ("star, moon, sun", False)],
)  # fmt: skip
def test_lines_of_a_plain_list_keep_their_numbers(text: str, kept: bool) -> None:
    found, said = listed_text(text, "x", Choice())
    assert (found == text) == kept
    assert said.endswith("; messages count its names as lines") != kept


def test_a_list_that_is_switched_off_says_so() -> None:
    lines, said = read_listed("#1 Dad\n#2 Mom\n", "x", Choice())
    assert lines == () and said.startswith("no name, because each line begins with a #") and '"#1 Dad"' in said
    with pytest.raises(
        ScaPreError, match=r'the list is empty: each of its lines, such as "#1 Dad", .*in double quotes'
    ):
        parse_concepts("\n#1 Dad\n")
    with pytest.raises(ScaPreError, match=r"the list is empty. Type at least one name"):
        parse_concepts(" \n\ufeff\n")


@pytest.mark.parametrize(
    ("text", "count"),
    [("star\nstar\n#off\nmoon", 2), ("- star\n- #off\n- moon\n- star", 2), ("star, star, moon", 2), ('["#1", ""]', 1),
     ("[]", 0), ("{}", 0), ("Monet, Claude\nManet, E\nMonet, Claude", 2)],
)  # fmt: skip
def test_the_count_is_that_of_the_names(text: str, count: int) -> None:
    found = readings(text)
    assert found.shape.rows == count == len([name for name in getattr(found, found.best) if not name.startswith("#")])


def test_an_empty_list_is_read_as_one() -> None:
    assert listed("") == listed("\n# nothing\n") == ()
