"""What a probe found as one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from PIL import Image

from ...scapre.probe import Probed, Row
from .bars import Bar, axis, draw_bars, longest_first
from .page import Page, paragraph, section, stack
from .themes import LARGE, THEMES, Style

_UNITS, _MARGIN = 44, 2  # across the picture, and around it
_ROWS = 30


def draw_probe(probed: Probed, width: int, theme: str) -> Image.Image:
    """Draws bars: what is left of each name, and how far the others moved.

    Args:
        probed: What was found.
        width: In pixels; all else is in proportion, and the height is what it takes.
        theme: A key of `THEMES`.
    """
    style = Style(THEMES[theme], width // _UNITS)
    margin = style.px(_MARGIN)
    body = stack(style, list(_parts(style, width - 2 * margin, probed)), 1.6)
    whole = Page(style, width, body.image.height + 2 * margin)
    whole.image.paste(body.image, (margin, margin))
    return whole.image


def _parts(style: Style, width: int, probed: Probed) -> Iterator[Page]:
    yield paragraph(style, "Probe", width, LARGE, faint=False)
    erased = [row for row in probed.rows if row.role == "erased"]
    others = [row for row in probed.rows if row.role != "erased"]
    if erased:
        told = "0: gone. 1, the line: untouched. The orange mark is the wording in which most is left."
        yield _section(style, width, "What is left", told, _bars(erased), 1.0)
    if others:
        told = "0: predictions have not moved. 1: as far as the name itself moves them. The mark is the worst wording."
        yield _section(style, width, "Drift of what should stay", told, _bars(others), None)


def _section(style: Style, width: int, heading: str, told: str, bars: list[Bar], line: float | None) -> Page:
    return section(style, heading, told, [draw_bars(style, width, bars, _ROWS, axis(bars), line)])


def _bars(rows: Iterable[Row]) -> list[Bar]:
    return longest_first(
        Bar(row.name, row.overall, row.most[1] if row.most[0] else None, place) for place, row in enumerate(rows, 1)
    )
