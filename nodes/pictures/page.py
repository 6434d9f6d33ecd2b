"""A part of a drawn report: its text, and how parts are put together."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

from PIL import Image, ImageDraw

from .lettering import font_for, is_covered, printable, wrap
from .themes import SMALL, Colour, Style

Box = tuple[int, int, int, int]


class Page:
    """A picture to draw on. No text leaves the place it was given: it is shortened, and what stands out is cut off."""

    def __init__(self, style: Style, width: int, height: int) -> None:
        """Starts empty."""
        self.style = style
        self.image = Image.new("RGB", (width, height), style.theme.paper)
        self.pen = ImageDraw.Draw(self.image)

    def fill(self, box: Box, colour: Colour) -> None:
        """Fills from the left and upper edge to before the right and lower one."""
        left, top, right, bottom = box
        if left < right and top < bottom:
            self.pen.rectangle((left, top, right - 1, bottom - 1), colour)

    def write(
        self,
        text: str,
        corner: tuple[int, int],
        width: int,
        size: float = 1.0,
        side: Literal["l", "m", "r"] = "l",
        faint: bool = False,
        colour: Colour | None = None,
    ) -> None:
        """Writes a line of text, at the left, in the middle or at the right of its place."""
        font = font_for(printable(text), self.style.px(size))
        place = Image.new("L", (width, self.style.line(size)))
        at = {"l": 0, "m": width / 2, "r": width}[side]
        for line in wrap(text, font, width, 1):
            ImageDraw.Draw(place).text((at, place.height / 2), line, 255, font, anchor=f"{side}m")
        usual = self.style.theme.faint if faint else self.style.theme.ink
        self.pen.bitmap(corner, place, colour or usual)


def drawable(text: str, place: int) -> str:
    """A name as it can be drawn here: plain letters for accented ones, or its place in its list before the boxes."""
    text = text or "(empty prompt)"
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return next((name for name in (text, plain) if is_covered(printable(name))), f"{place}. {text}")


def fits(style: Style, text: str, width: int) -> bool:
    """Whether a small text of the pack's own is no wider than this."""
    return font_for(text, style.px(SMALL)).getlength(text) <= width


def paragraph(style: Style, text: str, width: int, size: float = SMALL, faint: bool = True, most: int = 3) -> Page:
    """A text on as many lines as it takes, at most `most`."""
    lines = wrap(text, font_for(printable(text), style.px(size)), width, most)
    page = Page(style, width, max(1, len(lines) * style.line(size)))
    for number, line in enumerate(lines):
        page.write(line, (0, number * style.line(size)), width, size, faint=faint)
    return page


def stack(style: Style, pages: Sequence[Page], gap: float) -> Page:
    """Pages below each other, `gap` units apart."""
    gaps = style.px(gap) * (len(pages) - 1)
    whole = Page(style, max(page.image.width for page in pages), sum(page.image.height for page in pages) + gaps)
    top = 0
    for page in pages:
        whole.image.paste(page.image, (0, top))
        top += page.image.height + style.px(gap)
    return whole


def beside(style: Style, left: Page | None, right: Page, width: int) -> Page:
    """Two pages side by side, at the edges of a width, or one at the right."""
    whole = Page(style, width, max(left.image.height if left else 0, right.image.height))
    if left:
        whole.image.paste(left.image, (0, 0))
    whole.image.paste(right.image, (width - right.image.width, 0))
    return whole


def section(style: Style, heading: str, help_text: str, body: Sequence[Page]) -> Page:
    """A heading and a sentence above what they are about."""
    width = body[0].image.width
    head = [paragraph(style, heading, width, 1.15, faint=False, most=1), paragraph(style, help_text, width)]
    return stack(style, [stack(style, head, 0.1), *body], 0.4)
