"""Which concepts lie close to each other: each against each, and the closest pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ...scapre.report.conflicts import Conflicts
from .page import Page, beside, drawable, stack
from .shades import Values, cells, scale
from .themes import SMALL, Style

_NAMED = 16  # concepts whose names fit beside their rows
_NAMES = 9.0  # units for them
_LARGEST = 2.4  # units of a cell
_PAIRS = 16

Name = tuple[str, int]  # and its place in the list


def draw_matrix(style: Style, width: int, side: int, conflicts: Conflicts, places: Mapping[str, int]) -> Page:
    """Draws the matrix, its scale, and a list of the closest pairs.

    Args:
        style: Colours and sizes.
        width: In pixels.
        side: Pixels of it for the matrix.
        conflicts: Names and cosines.
        places: Of the names in the list of concepts.
    """
    cosines = conflicts["cosines"]
    names = [(name, places.get(name, index)) for index, name in enumerate(conflicts["names"], 1)]
    square = stack(style, [_square(style, side, names, cosines), scale(style, 1.0)], 0.3)
    return beside(style, square, _closest(style, width - side - style.px(2), names, cosines), width)


def _square(style: Style, side: int, names: Sequence[Name], cosines: Sequence[Sequence[float]]) -> Page:
    """The matrix without its diagonal; few names have a place beside it."""
    others: Values = [[None if x == y else value for x, value in enumerate(row)] for y, row in enumerate(cosines)]
    named = len(names) <= _NAMED
    left, upper = (style.px(_NAMES), style.line(SMALL)) if named else (0, 0)
    size = min(len(names) * style.px(_LARGEST), side - left)
    page = Page(style, side, upper + size)
    edges = cells(page, (left, upper, left + size, upper + size), others, 1.0)
    if named:
        _name_rows(page, edges, upper - left, names)
    return page


def _name_rows(page: Page, edges: Sequence[int], down: int, names: Sequence[Name]) -> None:
    """Names the rows, and numbers both; the rows' edges lie `down` pixels below what are the columns' edges."""
    style, half = page.style, page.style.line(SMALL) // 2
    first = style.px(1.6)
    for index, (name, (start, end)) in enumerate(zip(names, pairwise(edges), strict=True), 1):
        upper = (start + end) // 2 + down - half
        page.write(str(index), (0, upper), first, SMALL, faint=True)
        page.write(drawable(*name), (first, upper), edges[0] - first - style.px(0.4), SMALL)
        page.write(str(index), (start, 0), end - start, SMALL, "m", faint=True)


def _closest(style: Style, width: int, names: Sequence[Name], cosines: Sequence[Sequence[float]]) -> Page:
    pairs = [(cosines[y][x], names[x], names[y]) for y in range(len(names)) for x in range(y)]
    shown = sorted(pairs, key=lambda pair: -pair[0])[:_PAIRS]
    page = Page(style, width, (1 + len(shown)) * style.line())
    page.write("The closest", (0, 0), width, faint=True)
    first, gap = style.px(3), style.px(0.6)
    half = (width - first - gap) // 2
    for row, (cosine, one, other) in enumerate(shown, 1):
        page.write(f"{cosine:.2f}", (0, row * style.line()), first - gap)
        page.write(drawable(*one), (first, row * style.line()), half)
        page.write(drawable(*other), (first + half + gap, row * style.line()), half)
    return page
