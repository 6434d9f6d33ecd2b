"""Values as shades in rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

from .bars import number
from .page import Box, Page, fits
from .themes import SMALL, Colour, Style, readable_on

Values = Sequence[Sequence[float | None]]


def cells(page: Page, box: Box, values: Values, top: float) -> list[int]:
    """Draws cells that fill a box, with their numbers where those fit; returns the edges of the columns."""
    left, upper, right, lower = box
    across, down = _edges(left, right, len(values[0])), _edges(upper, lower, len(values))
    width, height = (right - left) // len(values[0]), (lower - upper) // len(values)
    gap = int(width > page.style.px(0.5))
    texts = [number(value) for row in values for value in row if value is not None]
    told = height > page.style.line(SMALL) and all(fits(page.style, text, width - 2 * gap) for text in texts)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is not None:
                place = across[x], down[y], across[x + 1] - gap, down[y + 1] - gap
                _draw(page, place, value, page.style.theme.shade(value / top if top else 0.0), told)
    return across


def _draw(page: Page, box: Box, value: float, shade: Colour, told: bool) -> None:
    page.fill(box, shade)
    if told:
        left, upper, right, lower = box
        upper += (lower - upper - page.style.line(SMALL)) // 2
        page.write(number(value), (left, upper), right - left, SMALL, "m", colour=readable_on(shade))


def _edges(first: int, last: int, count: int) -> list[int]:
    return [first + round((last - first) * index / count) for index in range(count + 1)]


def scale(style: Style, top: float) -> Page:
    """The ramp from 0 to `top`."""
    text, ramp, gap = style.px(2.6), style.px(10), style.px(0.4)
    page = Page(style, style.px(1) + ramp + gap + text, style.line(SMALL))
    margin, start = style.px(0.3), style.px(1)
    for x in range(ramp):
        page.fill((start + x, margin, start + x + 1, page.image.height - margin), style.theme.shade(x / ramp))
    page.write("0", (0, 0), start, SMALL, faint=True)
    page.write(number(top), (start + ramp + gap, 0), text, SMALL, faint=True)
    return page
