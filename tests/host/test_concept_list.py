"""The Concept List node: bundled lists, and files in the host's input folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folder_paths
import pytest

from pack.benchmarks.host.client import Graph, PromptRejected, cached_nodes
from pack.benchmarks.host.server import Server
from pack.nodes.concept_list import ConceptList
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.errors import ScaPreError
from pack.scapre.methods.scapre.settings import PRESETS

BUNDLED = ("bundled: explicit", "bundled: imagenette", "bundled: painters")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The host's input folder; a secret lies beside it."""
    usual = folder_paths.get_input_directory()
    place = tmp_path / "input folder"
    place.mkdir()
    (tmp_path / "secret.txt").write_text("password")
    folder_paths.set_input_directory(str(place))
    yield place
    folder_paths.set_input_directory(usual)


def read(source: str, **inputs: Any) -> list[str]:
    """The names that the node gives."""
    (text,) = ConceptList.EXECUTE_NORMALIZED(source=source, **inputs).result
    return text.split("\n") if text else []


def choices() -> list[str]:
    """The sources that the node offers now."""
    return ConceptList.GET_NODE_INFO_V1()["input"]["required"]["source"][1]["options"]


def link(place: Path, target: Path) -> None:
    """Makes a symbolic link, where the system grants one."""
    try:
        place.symlink_to(target, target_is_directory=target.is_dir())
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")


@pytest.mark.parametrize("source", BUNDLED)
def test_a_bundled_list_has_names_that_can_be_erased(source: str) -> None:
    names = read(source)
    parsed = parse_concepts("\n".join(names))
    assert [concept.text for concept in parsed.concepts] == names
    assert parsed.notes == ()


def test_the_bundled_lists_hold_what_they_say() -> None:
    assert tuple(read("bundled: explicit")) == PRESETS["explicit"].concepts
    assert len(read("bundled: imagenette")) == 10
    assert {"Vincent van Gogh", "Pablo Picasso"} <= set(read("bundled: painters"))


def test_lists_of_the_input_folder_and_below_are_offered_after_the_bundled_ones(folder: Path) -> None:
    (folder / "artists" / "modern").mkdir(parents=True)
    for name in ("own.txt", "artists/old.TXT", "artists/modern/new ones.Csv", "tab.tsv", "picture.png", "notes.md"):
        (folder / name).write_text("name")
    (folder / "a folder.txt").mkdir()
    assert choices() == [*BUNDLED, "artists/modern/new ones.Csv", "artists/old.TXT", "own.txt", "tab.tsv"]
    assert read("artists/modern/new ones.Csv") == read("artists/old.TXT") == ["name"]


def test_a_new_file_is_offered_without_a_restart(folder: Path) -> None:
    assert choices() == list(BUNDLED)
    (folder / "late.txt").write_text("late")
    assert choices() == [*BUNDLED, "late.txt"]
    (folder / "late.txt").unlink()
    assert choices() == list(BUNDLED)


def test_a_missing_input_folder_leaves_the_bundled_lists(folder: Path) -> None:
    folder.rmdir()
    assert choices() == list(BUNDLED)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"\xef\xbb\xbfone\ntwo", ["one", "two"]),
        (b"one\rtwo\r", ["one", "two"]),
        ("Frida Kahlo\n葛飾北斎\nÉdouard Manet\n".encode(), ["Frida Kahlo", "葛飾北斎", "Édouard Manet"]),
        (b"# a comment\n\n  \none\n   # another\ntwo # kept as typed\n", ["one", "two # kept as typed"]),
        (b'cat -> dog\n"#1 hit"\n', ["cat -> dog", '"#1 hit"']),
        (b"", []),
        (b"# only a comment\n", []),
    ],
    ids=["CRLF", "BOM", "CR", "scripts", "comments", "arrows", "empty", "comments only"],
)
def test_a_file_is_read_as_people_save_it(folder: Path, content: bytes, names: list[str]) -> None:
    (folder / "list.txt").write_bytes(content)
    assert read("list.txt") == names


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("", "Claude Monet|Édouard Manet|Andy Warhol|cat -> dog"),
        ("monet", "Claude Monet"),
        ("MANET, warhol", "Édouard Manet|Andy Warhol"),
        ("édouard", "Édouard Manet"),
        ("-monet", "Édouard Manet|Andy Warhol|cat -> dog"),
        ("- monet , -DOG", "Édouard Manet|Andy Warhol"),
        ("net, -claude", "Édouard Manet"),
        ("andy warhol", "Andy Warhol"),
        ("dog", "cat -> dog"),
        (" , ,", "Claude Monet|Édouard Manet|Andy Warhol|cat -> dog"),
        ("-", "Claude Monet|Édouard Manet|Andy Warhol|cat -> dog"),
    ],
)
def test_the_filter_keeps_and_drops_lines(folder: Path, words: str, kept: str) -> None:
    (folder / "list.txt").write_text("Claude Monet\nÉdouard Manet\nAndy Warhol\ncat -> dog\n", encoding="utf-8")
    assert read("list.txt", filter=words) == kept.split("|")


@pytest.mark.parametrize("words", ["Rembrandt", "-a", "monet, -monet"])
def test_a_filter_that_leaves_nothing_is_a_mistake(folder: Path, words: str) -> None:
    (folder / "list.txt").write_text("Claude Monet\nAndy Warhol\n")
    with pytest.raises(ScaPreError, match=rf'filter: "{words}" leaves none of the 2 names'):
        read("list.txt", filter=words, more="kept anyway")


def test_more_names_come_last_and_are_not_filtered(folder: Path) -> None:
    (folder / "list.txt").write_text("one\ntwo\n")
    assert read("list.txt", filter="two", more="three\r\nfour -> five\n") == ["two", "three", "four -> five"]
    (folder / "list.txt").write_text("")
    assert read("list.txt", filter="two", more="three") == ["three"]


@pytest.mark.parametrize("source", ["gone.txt", "below/gone.txt", "bundled: gone"])
def test_a_missing_file_is_named(folder: Path, source: str) -> None:
    with pytest.raises(ScaPreError, match=f'source: "{source}" does not exist'):
        read(source)


@pytest.mark.parametrize(
    "source",
    ["../secret.txt", "below/../../secret.txt", "../../../../../../etc/passwd", "/etc/passwd", "/etc/hosts.txt",
     "bundled: ../concept_list", "bundled: ../../secret", "bundled: /etc/passwd", "picture.png", ".txt", "", "."],
)  # fmt: skip
def test_nothing_else_is_read(folder: Path, source: str) -> None:
    (folder / "picture.png").write_text("no list")
    with pytest.raises(ScaPreError, match=r"^source: .* is not a \.txt, \.csv or \.tsv file in ComfyUI's input"):
        read(source)
    assert ConceptList.fingerprint_inputs(source=source) == source
    assert source not in choices()


@pytest.mark.parametrize("source", ["link.txt", "linked/secret.txt"])
def test_links_do_not_lead_out_of_the_folder(folder: Path, source: str) -> None:
    link(folder / "link.txt", folder.parent / "secret.txt")
    link(folder / "linked", folder.parent)
    assert (folder / source).read_text() == "password"
    with pytest.raises(ScaPreError, match=r"^source: .* is not a \.txt, \.csv or \.tsv file in ComfyUI's input"):
        read(source)
    assert choices() == list(BUNDLED)


def test_an_absolute_path_into_the_folder_by_another_way_is_allowed_only_inside(folder: Path) -> None:
    (folder / "list.txt").write_text("one")
    assert read(str(folder / "list.txt")) == ["one"]
    with pytest.raises(ScaPreError, match="source"):
        read(str(folder.parent / "secret.txt"))


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "list.txt").write_text("one")
    link(folder / "alias.txt", folder / "list.txt")
    assert "alias.txt" in choices()
    assert read("alias.txt") == ["one"]


@pytest.mark.parametrize(("content", "place"), [(b"caf\xe9\n", 3), ("梵高".encode("gb18030"), 0), (b"ok\n\x80", 3)])
def test_another_encoding_is_explained(folder: Path, content: bytes, place: int) -> None:
    (folder / "list.txt").write_bytes(content)
    with pytest.raises(ScaPreError, match=rf'source: "list.txt" is not UTF-8 text \(byte {place}\)'):
        read("list.txt")


def test_a_file_may_have_eight_megabytes_and_no_more(folder: Path) -> None:
    (folder / "list.txt").write_bytes(b"star\n" * (2**23 // 5) + b"x" * (2**23 % 5))
    assert read("list.txt") == ["star", "xxx"]
    with (folder / "list.txt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ScaPreError, match="larger than 8 MB"):
        read("list.txt")


@pytest.mark.parametrize(
    ("content", "inputs", "names"),
    [
        (b"name;anchor\nstar;moon\n", {}, ["star -> moon"]),
        (b"1. star\n2. sun\n", {}, ["star", "sun"]),
        ("star\r\nsun".encode("utf-16"), {}, ["star", "sun"]),
        (b"cat,dog\nowl,fox", {"read_as": "commas"}, ["cat", "dog", "owl", "fox"]),
        (b"cat,dog\nowl,fox", {"column": "2"}, ["dog", "fox"]),
        (b"prompt,artist\nby A,A\nby B,B\nby C,B", {}, ["A", "B"]),
    ],
)
def test_a_file_of_another_shape_is_read_as_what_it_is(
    folder: Path, content: bytes, inputs: dict[str, str], names: list[str]
) -> None:
    (folder / "list.csv").write_bytes(content)
    assert read("list.csv", **inputs) == names


def test_a_file_that_can_be_meant_in_several_ways_asks(folder: Path) -> None:
    (folder / "list.txt").write_text("Gogh, Vincent van\nMonet, Claude")
    with pytest.raises(
        ScaPreError, match=r"(?s)list\.txt.*last name first.*read_as lines .*read_as inverted .*column 1"
    ):
        read("list.txt")
    assert read("list.txt", read_as="inverted") == ["Vincent van Gogh", "Claude Monet"]
    with pytest.raises(ScaPreError, match='column: there is no "name"'):
        read("list.txt", column="name")


def test_the_fingerprint_changes_with_the_file(folder: Path) -> None:
    file = folder / "list.txt"

    def fingerprint() -> str:
        return ConceptList.fingerprint_inputs(source="list.txt", filter="", more=None)

    missing = fingerprint()
    file.write_text("one")
    os.utime(file, ns=(10**18, 10**18))
    first = fingerprint()
    assert fingerprint() == first != missing
    file.write_text("one more")
    os.utime(file, ns=(10**18, 10**18))  # the size alone tells
    longer = fingerprint()
    assert longer != first
    os.utime(file, ns=(10**18, 10**18 + 10**6))  # the time alone tells
    assert fingerprint() not in (first, longer)
    assert ConceptList.fingerprint_inputs(source=BUNDLED[0]) != ConceptList.fingerprint_inputs(source=BUNDLED[1])


def listed(source: str, **inputs: Any) -> Graph:
    """A graph that shows the names of a source."""
    return {
        "list": {"class_type": "ScaPreConceptList", "inputs": {"source": source, **inputs}},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["list", 0]}},
    }


def test_the_server_sees_new_and_edited_files_without_a_restart(server: Server) -> None:
    file = server.base / "input" / "of the user" / "own list.txt"
    source = "of the user/own list.txt"
    with pytest.raises(PromptRejected, match="source"):
        server.queue(listed(source))
    file.parent.mkdir()
    file.write_text("red cat\nblue dog\n")
    assert source in server.object_info("ScaPreConceptList")["input"]["required"]["source"][1]["options"]
    first = server.run(listed(source, filter="cat", more="bird"))
    assert "".join(first["outputs"]["show"]["text"]) == "red cat\nbird"
    assert "list" in cached_nodes(server.run(listed(source, filter="cat", more="bird")))
    file.write_text("red cat\nwild cat\n")
    again = server.run(listed(source, filter="cat", more="bird"))
    assert "".join(again["outputs"]["show"]["text"]) == "red cat\nwild cat\nbird"
