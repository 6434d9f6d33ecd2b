"""What the panel says under a list, and that every phrase of it can be translated."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pack.nodes.host.measure import NameMeasure
from pack.scapre.concepts.name_check import NameCheck
from pack.scapre_webui import review, texts

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def check() -> NameCheck:
    """Names as CLIP reads them."""
    return NameCheck(NameMeasure())


@pytest.mark.parametrize(("text", "said"), [
    ("cat\nCat", "is already in line"), ("cat -> a\ncat -> b", "has another anchor in line"),
    ("a -> b -> c", "more than one arrow"), ("x " * 200, "is too long"),
    ("name,anchor\na,b\nc,d", "This does not look like"), ("vincent_van_gogh", "has other tokens"),
    ("a red cross", "3 <span>tokens"),
])  # fmt: skip
def test_a_list_is_reviewed(check: NameCheck, text: str, said: str) -> None:
    assert said in review.html_of(check, text, "", "")


def test_names_cannot_break_the_page(check: NameCheck) -> None:
    page = review.html_of(check, "<img src=x onerror=alert(1)>\n<b>", "", "<i>")
    assert "<img" not in page
    assert "<b>2</b>" in page
    assert "&lt;img" in page


def test_an_empty_list_says_nothing_and_a_wrong_one_why(check: NameCheck) -> None:
    assert review.html_of(check, " \n", "", "") == ""
    assert "no vocabulary" in review.html_of(None, "cat", "", "")
    assert "scapre-error" in review.html_of(check, "cat", "x" * 2000, "")


def test_long_lists_show_what_is_noted(check: NameCheck) -> None:
    text = "\n".join([*(f"name number {number}" for number in range(200)), "name number 3"])
    page = review.html_of(check, text, "", "")
    assert "<b>201</b>" in page
    assert "is already in line" in page
    assert page.count("<tr>") < 201


@pytest.mark.parametrize("language", ["zh_CN"])
def test_every_phrase_of_the_panel_is_translated(language: str) -> None:
    known = json.loads((ROOT / "localizations" / f"{language}.json").read_text(encoding="utf-8"))
    source = (ROOT / "scapre_webui" / "panel.py").read_text(encoding="utf-8")
    labels = set(re.findall(r'(?:label=|gr\.Button\(|gr\.Accordion\(|InputAccordion\([^"]*label=)"([^"]+)"', source))
    wanted = labels | set(review.PHRASES) | set(texts.PHRASES)
    assert wanted - known.keys() == set()
    assert known.keys() - wanted == set()
    assert all(value and value != key for key, value in known.items())
