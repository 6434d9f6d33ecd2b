"""The panel in a browser, on the real host: Gradio 3 and 4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pack.tests.chromium import launched
from pack.tests.webui.conftest import Web, start

LIST = 'cross\n"a, b" -> dot\n# x: 1'
PART = "#script_{tab}_scapre_{name}"


class Panel:
    """The panel of one tab."""

    def __init__(self, page: Any, tab: str = "txt2img") -> None:
        self.page, self.tab = page, tab

    def part(self, name: str, inside: str = "") -> Any:
        """One of its parts."""
        found = self.page.locator(PART.format(tab=self.tab, name=name))
        return found.locator(inside).first if inside else found.first

    def open(self, name: str) -> None:
        """Opens an accordion."""
        self.part(name, ".label-wrap").click()

    def text(self, name: str) -> Any:
        """A field of text."""
        return self.part(name, "textarea, input")

    def write(self, name: str, text: str) -> None:
        """Types into a field and leaves it."""
        self.text(name).fill(text)
        self.text(name).blur()

    def log(self) -> str:
        """What stands under the pictures."""
        return str(self.page.locator(f"#html_log_{self.tab}").first.inner_text())

    def draw(self) -> None:
        """Draws a small picture, and waits for it or for what is wrong."""
        for part, value in (("width", 64), ("height", 64), ("steps", 6)):
            self.page.locator(f"#{self.tab}_{part} input[type=number]").fill(str(value))
            self.page.locator(f"#{self.tab}_{part} input[type=number]").blur()
        before = self.log()
        self.page.locator(f"#{self.tab}_generate").click()
        self.page.wait_for_function(
            "([id, before]) => { const found = document.querySelector(id);"
            " return found.innerText !== before && found.querySelector('.performance'); }",
            arg=[f"#html_log_{self.tab}", before],
            timeout=120_000,
        )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser."""
    yield from launched()


def opened(chromium: Any, web: Web) -> Any:
    """A page that is ready."""
    page = chromium.new_page(viewport={"width": 1400, "height": 1500})
    page.goto(web.url, wait_until="domcontentloaded")
    page.wait_for_selector("#txt2img_prompt textarea", timeout=120_000)
    page.wait_for_timeout(3000)  # the host's own scripts take up their parts one after another
    return page


@pytest.fixture
def panel(chromium: Any, web: Web) -> Iterator[Panel]:
    """The panel of txt2img, open."""
    page = opened(chromium, web)
    found = Panel(page)
    found.open("enabled")
    yield found
    page.close()


def wait_for(panel: Panel, name: str, text: str) -> None:
    """Waits until a part says something."""
    from playwright.sync_api import expect

    expect(panel.part(name)).to_contain_text(text, timeout=60_000)


def test_a_list_is_read_as_it_is_typed(panel: Panel) -> None:
    panel.write("concepts", "cross\nCross\na -> b -> c")
    wait_for(panel, "review", "is already in line")
    wait_for(panel, "review", "more than one arrow")
    panel.write("concepts", "cross")
    panel.part("review", "[data-add=crosses]").click()
    wait_for(panel, "review", "2 lines")
    assert panel.text("concepts").input_value() == "cross\ncrosses"


def test_lists_are_added_and_tidied(panel: Panel) -> None:
    panel.part("list", "input").fill("bundled: painters")
    panel.part("list", "input").press("Enter")
    panel.part("add_list").click()
    wait_for(panel, "review", "lines")
    assert "Vincent van Gogh" in panel.text("concepts").input_value()
    panel.write("concepts", "cross, moon, star")
    wait_for(panel, "review", "This does not look like")
    panel.part("tidy").click()
    wait_for(panel, "review", "3 lines")
    assert panel.text("concepts").input_value() == "cross\nmoon\nstar"


def test_a_run_reports_and_a_failure_too(panel: Panel) -> None:
    panel.page.locator("#txt2img_prompt textarea").fill("a red cross")
    panel.write("concepts", "cross")
    panel.draw()
    assert "ScaPre: Erased 1 concept" in panel.log()
    panel.open("report_box")
    wait_for(panel, "report", "Erased 1 concept")
    assert "remaining" in panel.part("report").inner_text()
    panel.write("concepts", "a -> b -> c")
    panel.draw()
    assert "ScaPreError: concepts: line 1" in panel.log()
    wait_for(panel, "report", "Nothing was drawn. concepts: line 1")


def test_a_pasted_infotext_sets_everything(panel: Panel, web: Web) -> None:
    values = [True, LIST, 'a "dot"', "moon\nsun", "scapre", "objects-few", 0.85, 7, "None", "alpha_min = 0.5"]
    infotext = web.draw("a red cross", values).infotext
    panel.page.locator("#txt2img_prompt textarea").fill(infotext)
    panel.page.locator("#paste").first.click()
    panel.page.wait_for_timeout(4000)
    assert panel.text("concepts").input_value() == LIST
    assert panel.text("anchor").input_value() == 'a "dot"'
    assert panel.text("preserve").input_value() == "moon\nsun"
    assert panel.part("method", "input").input_value() == "scapre"
    assert float(panel.part("strength", "input[type=number]").input_value()) == 0.85
    panel.open("more")
    assert panel.text("settings").input_value() == "alpha_min = 0.5"
    assert panel.part("seed", "input").input_value() == "7"
    assert panel.part("preset", "input").input_value() == "objects-few"
    assert panel.page.locator("#txt2img_prompt textarea").input_value() == "a red cross"


def test_an_edit_is_saved_and_used(panel: Panel, web: Web) -> None:
    panel.write("concepts", "cross")
    panel.open("files")
    panel.write("name", "from the panel")
    panel.part("save").click()
    wait_for(panel, "saved", "from the panel.safetensors: Erased 1 concept")
    panel.part("save").click()
    wait_for(panel, "saved", "there is an edit")
    panel.part("file", "input").fill("from the panel.safetensors")
    panel.part("file", "input").press("Enter")
    panel.page.locator("#txt2img_prompt textarea").fill("a red cross")
    panel.draw()
    assert "Edit file from the panel.safetensors" in panel.log()


def test_img2img_has_a_panel_of_its_own(panel: Panel) -> None:
    panel.page.evaluate("switch_to_img2img()")
    other = Panel(panel.page, "img2img")
    other.open("enabled")
    other.write("concepts", "cross\nmoon")
    wait_for(other, "review", "2 lines")


def test_the_panel_in_chinese(chromium: Any, webui_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("chinese") / "data"
    with start(webui_folder, data, page=True, settings={"localization": "zh_CN"}) as web:
        page = opened(chromium, web)
        panel = Panel(page)
        panel.open("enabled")
        panel.write("concepts", "cross\nCross")
        wait_for(panel, "review", "已出现在第几行")
        text = panel.part("enabled").inner_text()
        assert "写在这里的内容会从图片中消失" in text
        assert "What takes the place" not in text
        page.close()
