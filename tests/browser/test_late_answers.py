"""Answers that come late: the newest question wins, in the importer, after a paste and in the checks."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Route, expect

from pack.benchmarks.host.page import ComfyPage
from pack.tests.browser.test_concept_editor import Editing

CHECK, READINGS, LISTS, NAMES = (f"**/scapre/{path}" for path in ("check", "readings", "lists", "lists/names?**"))
LATE = 300
"""Milliseconds in which an answer that is not held back has long come."""


class Held:
    """Requests whose answers are held back, until they are let go in the order in which they were asked."""

    def __init__(self, page: Page, pattern: str, containing: str = "") -> None:
        self.page, self.containing = page, containing
        self.routes: list[Route] = []
        page.route(pattern, self._take)

    def _take(self, route: Route) -> None:
        asked = route.request.url + (route.request.post_data or "")
        if self.containing in asked:
            self.routes.append(route)
        else:
            route.continue_()

    def wait(self, count: int = 1) -> None:
        """Waits until so many are held."""
        for _ in range(100):
            if len(self.routes) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.routes)} of {count} requests came")

    def let_go(self) -> None:
        """Lets the answers come, and gives the page time to make what it would of them."""
        for route in self.routes:
            with contextlib.suppress(Error):  # the page has cancelled it
                route.continue_()
        self.routes.clear()
        self.page.wait_for_timeout(LATE)


@pytest.fixture
def editing(comfy: ComfyPage) -> Editing:
    return Editing(comfy)


def open_file(editing: Editing, file: Path) -> None:
    with editing.page.expect_file_chooser() as chooser:
        editing.click("Open a file")
    chooser.value.set_files(file)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "mine.txt"
    file.write_text("my own\nnames", encoding="utf-8")
    return file


def test_the_list_that_was_chosen_last_is_shown(editing: Editing) -> None:
    held = Held(editing.page, NAMES, "painters")
    editing.click("Import names from a list")
    choices = editing.box.locator(".choices .row")
    expect(choices.first).to_be_visible()
    select = editing.box.locator(".import select").first
    select.select_option("bundled: painters")
    held.wait()
    expect(choices).to_have_count(0)  # not those of the list that was there
    select.select_option("bundled: imagenette")
    expect(choices).to_have_count(10)
    shown = choices.all_inner_texts()
    held.let_go()
    assert choices.all_inner_texts() == shown


@pytest.mark.parametrize("pattern", [NAMES, LISTS])
def test_a_file_is_not_overtaken_by_a_list(editing: Editing, mine: Path, pattern: str) -> None:
    held = Held(editing.page, pattern)
    editing.click("Import names from a list")
    held.wait()
    open_file(editing, mine)
    choices = editing.box.locator(".choices .row")
    expect(choices).to_have_text(["my own", "names"])
    held.let_go()
    assert choices.all_inner_texts() == ["my own", "names"]
    select = editing.box.locator(".import select").first
    expect(select).to_have_value("File: mine.txt")
    select.select_option("bundled: imagenette")
    if pattern == LISTS:
        expect(choices).to_have_count(10)
        select.select_option("File: mine.txt")
        expect(choices).to_have_text(["my own", "names"])


def test_a_list_does_not_overtake_a_newer_file(editing: Editing, mine: Path) -> None:
    held = Held(editing.page, "**/scapre/readings/file?**")
    editing.click("Import names from a list")
    choices = editing.box.locator(".choices .row")
    expect(choices.first).to_be_visible()
    open_file(editing, mine)
    held.wait()
    editing.box.locator(".import select").first.select_option("bundled: imagenette")
    expect(choices).to_have_count(10)
    held.let_go()
    expect(choices).to_have_count(10)


def test_a_paste_is_there_at_once_and_read_if_nothing_has_changed_since(editing: Editing) -> None:
    editing.text = "ant\nbee"
    held = Held(editing.page, READINGS)
    editing.paste(0, "cat, dog")
    assert editing.text == "ant\ncat, dog\nbee"
    held.wait()
    held.let_go()
    expect(editing.strip).to_contain_text("Added 2")
    assert editing.text == "ant\ncat\ndog\nbee"
    expect(editing.field(2)).to_be_focused()
    editing.click("Undo")
    assert editing.text == "ant\nbee"


@pytest.mark.parametrize("change", ["typed", "replaced", "removed"])
def test_a_paste_is_not_read_into_a_list_that_has_changed(editing: Editing, change: str) -> None:
    editing.text = "ant\nbee"
    held = Held(editing.page, READINGS)
    editing.paste(0, "cat, dog")
    held.wait()
    if change == "typed":
        editing.field(2).fill("bees")
    elif change == "replaced":
        editing.text = "fox"
    else:
        editing.box.locator(".row .remove").nth(1).click()
    text = editing.text
    held.let_go()
    assert editing.text == text
    expect(editing.strip).to_be_empty()


def test_of_two_pastes_the_newer_is_read(editing: Editing) -> None:
    editing.text = "ant\nbee"
    held = Held(editing.page, READINGS, "cat")
    editing.paste(0, "cat, dog")
    held.wait()
    editing.paste(2, "owl, fox")
    expect(editing.strip).to_contain_text("Added 2")
    held.let_go()
    assert editing.text == "ant\ncat, dog\nbee\nowl\nfox"


def test_a_check_says_nothing_of_a_text_that_it_has_not_read(editing: Editing) -> None:
    held = Held(editing.page, CHECK)
    editing.text = "xqzzyk\nzebra"
    held.wait()
    editing.field(0).fill("zebra")
    editing.page.wait_for_timeout(50)
    held.let_go()
    assert editing.notes() == ["", ""]
    assert editing.field(0, "tokens").inner_text() == ""
    held.wait()  # what it is now
    held.let_go()
    expect(editing.box.locator(".notes").nth(1)).to_have_text("same as line 1")
    assert editing.notes() == ["", "same as line 1"]


def test_a_newer_check_is_not_overtaken(editing: Editing) -> None:
    held = Held(editing.page, CHECK, "xqzzyk")
    editing.text = "xqzzyk"
    held.wait()
    editing.text = "zebra\nzebra"
    expect(editing.box.locator(".notes").nth(1)).to_have_text("same as line 1")
    held.let_go()
    assert editing.notes() == ["", "same as line 1"]


def test_repeats_are_removed_from_the_list_as_it_is_by_then(editing: Editing) -> None:
    editing.text = "zebra\nzebra"
    editing.checked()
    held = Held(editing.page, CHECK)
    editing.click("Remove duplicates")
    held.wait()
    editing.field(0).fill("owl")
    held.wait(2)
    held.let_go()
    expect(editing.strip).to_contain_text("Duplicates removed: 0")
    assert editing.text == "owl\nzebra"
