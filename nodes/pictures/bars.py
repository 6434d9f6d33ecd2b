"""Bars with names and numbers, one below the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .page import Page, drawable
from .themes import SMALL, Style

_NAME, _NUMBER, _GAP = 0.4, 3.2, 0.6  # share of the width for names; units for numbers, and around the bar
_THICK, _MARK = 0.72, 0.24  # units: height of a bar, width of its mark
_LONGEST = 2.0  # a bar of more is cut, so that the others stay readable


@dataclass(frozen=True)
class Bar:
    """One value, None where there is none, and a second one that is marked on its bar.

    Attributes:
        place: In the list that its name is from.
        more: Said after the name.
    """

    name: str
    value: float | None
    mark: float | None = None
    place: int = 0
    more: str = ""


def axis(bars: Sequence[Bar]) -> float:
    """Where a scale for shares ends: at 1, or later where a bar is longer."""
    return min(max(1.0, *(bar.value or 0.0 for bar in bars)), _LONGEST)


def longest_first(bars: Iterable[Bar]) -> list[Bar]:
    """Sorted by value, those without one last."""
    return sorted(bars, key=lambda bar: -math.inf if bar.value is None else bar.value, reverse=True)


def draw_bars(style: Style, width: int, bars: Sequence[Bar], most: int, top: float, line: float | None = None) -> Page:
    """Draws bars below each other.

    Args:
        style: Colours and sizes.
        width: In pixels.
        bars: All of them.
        most: How many are drawn; a line counts the others.
        top: Value of a bar across the whole track.
        line: Value that a line marks.
    """
    shown = bars[:most]
    hidden = len(bars) - len(shown)
    page = Page(style, width, (len(shown) + bool(hidden)) * style.line())
    left, right = style.px(_GAP) + int(width * _NAME), width - style.px(_NUMBER + _GAP)
    for row, bar in enumerate(shown):
        _draw(page, bar, row * style.line(), left, right, top)
    if line is not None:
        across = left + round((right - left) * line / top)
        page.fill((across - style.px(0.06), 0, across, len(shown) * style.line()), style.theme.ink)
    if hidden:
        page.write(f"and {hidden:,} more", (0, len(shown) * style.line()), int(width * _NAME), SMALL, faint=True)
    return page


def _draw(page: Page, bar: Bar, upper: int, left: int, right: int, top: float) -> None:
    style, theme = page.style, page.style.theme
    margin = (style.line() - style.px(_THICK)) // 2
    above, below = upper + margin, upper + style.line() - margin
    end = left + _length(bar.value, top, right - left)
    page.write(drawable(bar.name, bar.place) + bar.more, (0, upper), left - style.px(_GAP))
    page.fill((left, above, right, below), theme.track)
    page.fill((left, above, end, below), theme.bar)
    if bar.value is not None and bar.value > top:
        page.fill((right - style.px(0.7), above, right - style.px(0.5), below), theme.paper)
    if bar.mark is not None:
        thick = style.px(_MARK)
        start = left + _length(bar.mark, top, right - left - thick)
        page.fill((start, above, start + thick, below), theme.mark)
    page.write(number(bar.value), (right, upper), page.image.width - right, side="r")


def _length(value: float | None, top: float, track: int) -> int:
    return round(track * min(max(value or 0.0, 0.0) / top, 1.0))


def number(value: float | None) -> str:
    """A number of at most seven characters: two decimals, or two digits where those would be zeros."""
    if value is None:
        return "-"
    if value and abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.1e}"
