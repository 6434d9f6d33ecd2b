"""Lists on the command line: of any common shape, told aloud, and refused with the options where they are a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from pack.scapre.cli import _parser
from pack.scapre.cli.erase import request_of
from pack.scapre.concepts.concepts import Concept
from pack.scapre.errors import ScaPreError


def asked(folder: Path, content: str | bytes, *more: str, name: str = "list.csv"):
    """What `erase` would solve."""
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    out = folder / "out.safetensors"
    line = ["erase", "model.safetensors", "--concepts", str(folder / name), "--out", str(out), *more]
    return request_of(_parser().parse_args(line))


@pytest.mark.parametrize(
    ("content", "concepts", "said"),
    [
        ("name,anchor\nstar,moon\nArlo Vane,\n", [Concept("star", "moon"), Concept("Arlo Vane")],
         '"name", anchors from'),
        ("star, Arlo Vane, house\n", [Concept("star"), Concept("Arlo Vane"), Concept("house")], "between commas"),
        ('"star",\n"Arlo Vane",\n', [Concept("star"), Concept("Arlo Vane")], "quoted names, 2 names"),
        ("star\nmoon -> sun\n", [Concept("star"), Concept("moon", "sun")], ""),
        ("- star\n- sun".encode("utf-16"), [Concept("star"), Concept("sun")], "a list with bullets, 2 names"),
    ],
)  # fmt: skip
def test_a_list_is_read_as_what_it_is_and_told(
    tmp_path: Path, content: str | bytes, concepts: list[Concept], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(asked(tmp_path, content).concepts.concepts) == concepts
    told = capsys.readouterr()
    assert told.out == "" and said in told.err
    assert told.err.startswith('concepts: "list.csv": ' if said else "") and bool(told.err) == bool(said)


def test_a_guess_is_refused_with_the_options(tmp_path: Path) -> None:
    with pytest.raises(ScaPreError, match=r'list\.csv" looks like .*--as lines .*--as columns .*--column 1'):
        asked(tmp_path, "cat,dog\nowl,fox")
    for more, names in (
        (("--as", "lines"), ["cat,dog", "owl,fox"]),
        (("--as", "commas"), ["cat", "dog", "owl", "fox"]),
        (("--as", "columns"), ["cat", "owl"]),
        (("--column", "2"), ["dog", "fox"]),
    ):
        found = asked(tmp_path, "cat,dog\nowl,fox", *more).concepts.concepts
        assert [concept.text for concept in found] == names


def test_what_was_cleaned_is_noted_for_concepts_and_preserved_names(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("fish,\nship.\n")
    found = asked(tmp_path, "star.\nmoon\n", "--preserve", str(tmp_path / "keep.txt"), "--as", "lines")
    assert found.preserve == ("fish", "ship") and [c.text for c in found.concepts.concepts] == ["star", "moon"]
    notes = " ".join((*found.concepts.notes, *found.notes))
    assert 'line 1: "star." is read as "star"' in notes and 'preserve: line 1: "fish," is read as "fish"' in notes


def test_another_encoding_is_refused_like_everywhere(tmp_path: Path) -> None:
    with pytest.raises(ScaPreError, match=r'concepts: "list\.csv" is not UTF-8 text'):
        asked(tmp_path, "Zoë".encode("cp1252"))


def test_a_table_of_names_to_preserve_may_have_anchors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keep.csv").write_text("name,anchor\nfish,cow\nship,\n")
    assert asked(tmp_path, "star\n", "--preserve", str(tmp_path / "keep.csv")).preserve == ("fish", "ship")
    assert "needs no anchors, so they are left out" in capsys.readouterr().err


def test_messages_number_the_lines_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ScaPreError, match='concepts: line 5: "!!" has no letter'):
        asked(tmp_path, "# painters\n\nstar\nstar\n!!\n")
    found = asked(tmp_path, "# painters\n\nstar\nmoon,\nstar\n").concepts
    assert [note.split(":")[0] for note in found.notes] == ["line 4", "line 5"]


def test_what_is_no_list_is_called_what_it_is(tmp_path: Path) -> None:
    line = ["erase", "m", "--concepts", str(tmp_path), "--out", str(tmp_path / "o.safetensors")]
    with pytest.raises(ScaPreError, match=r"is a folder. Name the file with the list"):
        request_of(_parser().parse_args(line))
    with pytest.raises(ScaPreError, match="cannot be read as lines and by its column"):
        asked(tmp_path, "cat,dog\nowl,fox", "--as", "lines", "--column", "1")
    with pytest.raises(ScaPreError, match='the list is empty: each of its lines, such as "#1 Dad"'):
        asked(tmp_path, "#1 Dad\n")
    with pytest.raises(ScaPreError, match=r"the list is empty. Type"):
        asked(tmp_path, "[]", name="list.json")
