"""The help pages, opened in the side panel from the node's own button."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pack.benchmarks.host.base import PACK_ROOT
from pack.benchmarks.host.page import ComfyPage
from pack.nodes import NODES

DOCS = PACK_ROOT / "web" / "docs"


def page_of(node: str, locale: str) -> Path:
    """The file that the frontend should show."""
    own = DOCS / node / f"{locale}.md"
    return own if own.is_file() else DOCS / f"{node}.md"


@pytest.mark.parametrize(
    ("settings", "renderer"),
    [({"Comfy.Locale": "en"}, "litegraph"), ({"Comfy.Locale": "zh"}, "vue")],
    indirect=True,
    ids=["en", "zh"],
)
def test_every_help_page_opens_with_its_pictures(comfy: ComfyPage, settings: dict[str, str]) -> None:
    help_page = comfy.page.locator(".node-help-content :is(.markdown-content, .comfy-markdown-content)")
    for node in (node.define_schema().node_id for node in NODES):
        text = page_of(node, settings["Comfy.Locale"]).read_text(encoding="utf-8")
        number = comfy.add(node, (300, 300))
        comfy.look_at(number)
        comfy.page.evaluate("(id) => app.canvas.selectItems([app.graph.getNodeById(id)])", number)
        comfy.page.get_by_test_id("info-button").click()
        expect(help_page.get_by_role("heading").first).to_have_text(re.sub("^#+ ", "", text.splitlines()[0]))
        pictures = help_page.get_by_role("img")
        expect(pictures).to_have_count(len(re.findall(r"!\[", text)))
        for picture in pictures.element_handles():
            comfy.page.wait_for_function("(image) => image.complete && image.naturalWidth > 0", arg=picture)
        comfy.screenshot(node)
        comfy.page.evaluate("(id) => app.graph.remove(app.graph.getNodeById(id))", number)
