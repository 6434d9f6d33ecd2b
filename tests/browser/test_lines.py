"""The editor reads lines without asking: the same lines, names and arrows as the parser finds."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from pack.benchmarks.host.page import ComfyPage
from pack.scapre.concepts.names import clean
from pack.scapre.concepts.syntax import _HEADS, lines, split_arrow
from pack.scapre.concepts.text import split_lines

ENDS = ["\r\n", *"\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"]
STROKES = ["--", "==", "-=", *"-=\u2013\u2014\u2212\u2010\u2011"]
ARROWS = [*(f"{stroke}>" for stroke in STROKES), *_HEADS[1:], "\u27a1\ufe0f"]
ALMOST = [">", "<-", "- >", "->>", "=", "\ufe0f", "->\ufe0f", "\u2190", "\u21e2", "\uffeb"]
PIECES = [*ARROWS, *ALMOST, *ENDS, *'"",;# \u201c\u201dab\t\xa0\u3000\ufeff\x1f\x00\U0001f600']
AROUND = ["cat", "cat ", '"a -> b"', '"a" ', "\u201ca\u201d,"], ["dog", " dog", '"dog"', "", ' "x # y" # z']
_READ = """async (texts) => {
    const { isList, join, readLine, split } = await import("/api/scapre/web/concepts/lines.mjs");
    const read = ({ raw, name, anchor, remark, on, heading }) => ({ raw, name, anchor, remark, on, heading });
    const same = (text) => join(split(text)) === text;
    return texts.map((text) => ({ list: isList(text), same: same(text), lines: split(text).map(read) }));
}"""


def texts() -> list[str]:
    """Lines that an editor could read otherwise than the parser."""
    chance = random.Random(0)
    mixed = ["".join(chance.choices(PIECES, k=chance.randint(1, 12))) for _ in range(4000)]
    arrows = [*ARROWS, *ALMOST]
    around = [f"{before}{arrow}{after}" for arrow in arrows for before, after in itertools.product(*AROUND)]
    ends = [f"a{end}b{end}{other}c" for end, other in itertools.product(ENDS, ENDS)]
    return [*around, *ends, *mixed]


def parsed(line: str) -> tuple[str, str | None]:
    """Name and anchor of a line as the parser has them, still in their quotes; of more arrows, the name."""
    said = next(lines(line), (1, ""))[1]
    name, *anchors = split_arrow(said)
    return name, anchors[0] if len(anchors) == 1 else None


@pytest.fixture(scope="module")
def given() -> list[str]:
    return texts()


def test_lines_names_and_arrows_are_those_of_the_parser(comfy: ComfyPage, given: list[str]) -> None:
    found: list[dict[str, Any]] = comfy.page.evaluate(_READ, given)
    arrows = 0
    for text, read in zip(given, found, strict=True):
        assert [line["raw"] for line in read["lines"]] == split_lines(text), ascii(text)
        assert read["same"], ascii(text)
        for raw, line in zip(split_lines(text), read["lines"], strict=True):
            if not line["on"]:  # the editor reads on after the sign that switches a name off
                assert next(lines(raw), None) is None
                continue
            name, anchor = parsed(raw)
            assert line["name"] == name, ascii(raw)
            many = len(split_arrow(next(lines(raw), (1, ""))[1])) > 2
            assert many or line["anchor"] == anchor, ascii(raw)
            assert not many or line["anchor"] is not None, ascii(raw)
            arrows += line["anchor"] is not None
    assert arrows > 1000


def test_a_paste_of_several_lines_or_with_an_arrow_is_a_list(comfy: ComfyPage) -> None:
    several = [*(f"cat{end}dog" for end in ENDS), *(f"cat {arrow} dog" for arrow in ARROWS), "cat, dog", "cat\tdog"]
    one = ["cat", "the cat's > dog", '"a -> b"', "a # b", *(f"cat{end}" for end in ENDS), "cat,"]
    found = comfy.page.evaluate(_READ, [*several, *one])
    assert [read["list"] for read in found] == [True] * len(several) + [False] * len(one)
    assert all(clean(text) for text in one)
