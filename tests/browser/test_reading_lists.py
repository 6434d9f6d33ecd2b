"""Lists of every shape: what the editor says of them, and the ways to read them that it offers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from pack.benchmarks.host.page import ComfyPage
from pack.tests.browser.legibility import audit
from pack.tests.browser.test_concept_editor import Editing
from pack.tests.browser.test_late_answers import open_file

both_renderers = pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)
both_themes = pytest.mark.parametrize("theme", ["dark", "light"], indirect=True)
chinese = pytest.mark.parametrize("settings", [{"Comfy.Locale": "zh"}], indirect=True)
TABLE = """id,artist,genre,born,note
1,Édouard Manet,painting,1832,
2,Claude Monet,painting,1840,#1
3,Ansel Adams,photo,1902,x
"""
SIZE = "([id, width, height]) => app.graph.getNodeById(id).setSize([width, height])"


@pytest.fixture
def editing(comfy: ComfyPage) -> Editing:
    made = Editing(comfy)
    comfy.page.evaluate(SIZE, [made.node, 460, 620])
    comfy.look_at(made.node)
    return made


@pytest.fixture
def importing(editing: Editing) -> Locator:
    """What the importer lists."""
    editing.click("Import names from a list")
    choices = editing.box.locator(".choices .row")
    expect(choices.first).to_be_visible()
    return choices


def buttons(place: Locator) -> dict[str, bool]:
    """The readings that are offered, and whether each is the one that is shown."""
    read = "(all) => all.map((one) => [one.textContent, one.ariaPressed])"
    found = place.get_by_role("button").evaluate_all(read)
    return {words: pressed == "true" for words, pressed in found if pressed}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_is_imported_whatever_its_encoding(
    editing: Editing, importing: Locator, tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "painters.TSV"
    file.write_bytes(TABLE.replace(",", "\t").encode(encoding))
    open_file(editing, file)
    expect(importing).to_have_text(["Édouard Manet", "Claude Monet", "Ansel Adams"])
    expect(editing.box.locator(".said")).to_contain_text("3 concepts: a table of 5 columns, names from “artist”")
    editing.click("Add 3 shown")
    assert editing.text == "Édouard Manet\nClaude Monet\nAnsel Adams"


def test_another_column_and_another_reading_can_be_chosen(editing: Editing, importing: Locator, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(TABLE, encoding="utf-8")
    open_file(editing, file)
    said = editing.box.locator(".said")
    expect(importing).to_have_count(3)
    assert buttons(said) == {"lines": False, "commas": False, "table": True}
    column = said.get_by_label("Column of the names")
    expect(column).to_have_value("artist")
    column.select_option("genre")
    expect(importing).to_have_text(["painting", "photo"])
    expect(said).to_contain_text("2 concepts: a table of 5 columns, names from “genre”")
    said.get_by_role("button", name="lines").click()
    expect(importing).to_have_count(4)
    expect(said.locator("select")).to_have_count(0)
    said.get_by_role("button", name="table").click()
    said.get_by_label("Column of the names").select_option("automatic")
    expect(importing.first).to_have_text("Édouard Manet")
    expect(editing.box.locator(".import select").first).to_have_value("File: table.csv")


def test_what_cannot_be_read_is_said(editing: Editing, importing: Locator, tmp_path: Path) -> None:
    editing.comfy.expected = ["status of 400 .*/scapre/readings/file"]
    why = editing.box.locator(".choices")
    for name, data, words in (
        ("windows.csv", "name,anchor\nÉmile Faure,art\n".encode("cp1252"), "is not UTF-8 text"),
        ("sheet.csv", b"PK\x03\x04 and more", "is a zip archive or spreadsheet"),
        ("large.txt", b"cat\n" * 2**21 + b"x", "A list may have 8 MB at most."),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        open_file(editing, file)
        expect(why).to_have_attribute("data-why", re.compile(words))
        expect(importing).to_have_count(0)
        expect(editing.box.get_by_role("button", name="Add 0 shown")).to_be_disabled()
    editing.box.locator(".import select").first.select_option("bundled: painters")
    expect(importing).to_have_count(8)
    expect(why).to_have_attribute("data-why", "")


@both_themes
@both_renderers
def test_a_guess_is_marked(editing: Editing, importing: Locator, tmp_path: Path) -> None:
    file = tmp_path / "register.txt"
    file.write_text("Monet, Claude\nManet, Édouard\n", encoding="utf-8")
    open_file(editing, file)
    said = editing.box.locator(".said")
    expect(importing).to_have_text(["Claude Monet", "Édouard Manet"])
    guess = said.get_by_text("(a guess)")
    expect(guess).to_have_attribute(
        "title", "the names may be written with the last name first, or stand in two columns"
    )
    assert buttons(said) == {"lines": False, "commas": False, "table": False, "last name first": True}
    faint, wide, _ = audit(editing.comfy)
    assert (faint, wide) == ([], [])
    editing.comfy.screenshot("guess")
    said.get_by_role("button", name="table").click()
    expect(importing).to_have_text(["Monet -> Claude", "Manet -> Édouard"])
    expect(guess).to_have_count(0)


def test_comments_of_a_file_stay_there(editing: Editing, importing: Locator, tmp_path: Path) -> None:
    file = tmp_path / "commented.txt"
    file.write_text("# beasts\ncat -> dog\n#owl\nfox", encoding="utf-8")
    open_file(editing, file)
    expect(importing).to_have_text(["cat -> dog", "fox"])


@both_renderers
def test_a_pasted_table_lets_the_column_be_chosen(editing: Editing) -> None:
    editing.paste(0, TABLE)
    expect(editing.strip).to_contain_text("Added 3: a table of 5 columns, names from “artist”")
    assert editing.text == "Édouard Manet\nClaude Monet\nAnsel Adams"
    editing.comfy.screenshot("pasted")
    editing.strip.get_by_label("Column of the names").select_option("genre")
    expect(editing.strip).to_contain_text("names from “genre”")
    assert editing.text == "painting\nphoto"
    editing.strip.get_by_role("button", name="commas").click()
    assert editing.text.startswith("id\nartist\ngenre")
    editing.click("Undo")
    assert editing.text == ""


def test_a_pasted_arrow_makes_a_row_with_an_anchor(editing: Editing) -> None:
    editing.paste(0, "cat \u2014> dog")
    expect(editing.strip).to_contain_text("Added 1")
    assert (editing.field(0).input_value(), editing.field(0, "anchor").input_value()) == ("cat", "dog")


def test_a_pasted_register_is_turned_round_or_not(editing: Editing) -> None:
    editing.paste(0, "Monet, Claude\nManet, Édouard")
    expect(editing.strip).to_contain_text("Added 2: last names first, turned round(a guess)")
    assert editing.text == "Claude Monet\nÉdouard Manet"
    editing.strip.get_by_role("button", name="commas").click()
    assert editing.text == "Monet\nClaude\nManet\nÉdouard"


@both_themes
@both_renderers
def test_a_list_of_another_shape_is_read_so_when_that_is_wanted(editing: Editing) -> None:
    expect(editing.hint).to_be_empty()
    editing.text = "cat, dog, owl"
    expect(editing.hint).to_contain_text("This reads like names between commas.")
    faint, wide, _ = audit(editing.comfy)
    assert (faint, wide) == ([], [])
    editing.comfy.screenshot("hint")
    editing.hint.get_by_role("button", name="Read it so").click()
    expect(editing.strip).to_contain_text("3 concepts: names between commas")
    assert editing.text == "cat\ndog\nowl"
    expect(editing.hint).to_be_empty()
    editing.comfy.command("Comfy.Undo")
    assert editing.text == "cat, dog, owl"
    expect(editing.hint).to_contain_text("names between commas")
    editing.hint.get_by_role("button", name="Close").click()
    editing.field(0).fill("cat, dog, fox")
    editing.checked()
    expect(editing.hint).to_be_empty()
    editing.text = "cat"
    editing.checked()
    editing.text = "cat, dog, owl"  # it has read otherwise in between
    expect(editing.hint).to_contain_text("names between commas")


@both_themes
@both_renderers
def test_what_is_read_otherwise_than_it_looks_is_said(editing: Editing) -> None:
    editing.text = "(giraffe:1.3),\ntea\u200bpot\nVincent_van_Gogh -> painter\nmoose"
    expect(editing.box.locator(".row .notes").nth(2)).not_to_be_empty()
    assert editing.notes() == [
        "read as giraffe",
        "characters that no one sees are left out",
        "other tokens than Vincent van Gogh",
        "",
    ]
    faint, wide, _ = audit(editing.comfy)
    assert (faint, wide) == ([], [])
    editing.comfy.screenshot("notes")
    editing.box.locator(".spell:visible").click()
    assert editing.text.splitlines()[2:] == ["Vincent_van_Gogh -> painter", "Vincent van Gogh -> painter", "moose"]
    expect(editing.field(3)).to_be_focused()
    expect(editing.box.locator(".row .tokens").nth(3)).to_have_text("3")
    expect(editing.box.locator(".spell:visible")).to_have_count(0)
    editing.comfy.command("Comfy.Undo")
    assert editing.text.splitlines()[2:] == ["Vincent_van_Gogh -> painter", "moose"]


@chinese
def test_shapes_are_told_in_chinese(editing: Editing) -> None:
    editing.paste(0, TABLE)
    expect(editing.strip).to_contain_text("已添加 3 项\uff1a5 列的表格\uff0c名称取自“artist”")
    editing.text = "cat, dog, owl"
    expect(editing.hint).to_contain_text("这看起来像用逗号分隔的名称。")
