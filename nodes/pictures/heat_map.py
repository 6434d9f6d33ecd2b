"""The change of a model's layers: a row for each kind of matrix, layers in columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from ...scapre.report.data import LETTERS, BlockRow, changed_kinds
from .page import Page, beside, fits, stack
from .shades import cells, scale
from .themes import SMALL, Style

_SIDE = 1.6  # units a row is high, and for the letter before it

Span = tuple[str, int, int]  # a text and its left and right edge


def draw_heat_map(style: Style, width: int, blocks: Sequence[BlockRow]) -> Page:
    """What is changed of each layer in a row for each kind of matrix, the model's layers in columns, and the scale."""
    kinds = changed_kinds(blocks) or ["key", "value"]
    values = [[row[kind] for row in blocks] for kind in kinds]
    top = max((value for row in values for value in row if value is not None), default=0.0)
    left, bottom, gap = style.px(_SIDE), len(kinds) * style.px(_SIDE), style.px(0.1)
    page = Page(style, width, bottom + gap + 2 * style.line(SMALL))
    for row, kind in enumerate(kinds):
        page.write(LETTERS[kind], (0, row * left), left - style.px(0.3))
    edges = cells(page, (left, 0, width, bottom), values, top)
    _label(page, edges, [row["block"] for row in blocks], bottom + gap)
    return stack(style, [page, beside(style, None, scale(style, top), width)], 0.2)


def _label(page: Page, edges: Sequence[int], labels: Sequence[str], upper: int) -> None:
    """Names the columns: each of them, or those of a block together, and below them the sides of the model."""
    sides = _runs([label.partition(" ")[0] for label in labels], edges)
    each = [(label.partition(" ")[2], *ends) for label, ends in zip(labels, pairwise(edges), strict=True)]
    blocks = _runs([label.rpartition(".")[0] for label in labels], edges)  # the middle has none
    numbers = [(block.partition(" ")[2], left, right) for block, left, right in blocks]
    fitting = (spans for spans in (each, numbers) if len(_fitting(page.style, spans)) == len(spans))
    _spread(page, next(fitting, []), upper)
    _spread(page, _fitting(page.style, sides), upper + page.style.line(SMALL))


def _runs(names: Sequence[str], edges: Sequence[int]) -> list[Span]:
    """Equal neighbours as one, with their left and right edge."""
    runs = [(name, list(places)) for name, places in groupby(range(len(names)), names.__getitem__)]
    return [(name, edges[places[0]], edges[places[-1] + 1]) for name, places in runs]


def _fitting(style: Style, spans: Sequence[Span]) -> list[Span]:
    return [(text, left, right) for text, left, right in spans if fits(style, text, right - left)]


def _spread(page: Page, spans: Sequence[Span], upper: int) -> None:
    for text, left, right in spans:
        page.write(text, (left, upper), right - left, SMALL, "m", faint=True)
