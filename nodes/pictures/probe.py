"""What a probe found as one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from PIL import Image

from ...scapre.probe import Probed, Row
from ...scapre.probe.scores import Role
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
    for heading, told, roles, line in _SECTIONS:
        rows = [row for row in probed.rows if row.role in roles]
        if rows:
            yield _section(style, width, heading, told, _bars(rows), line)


_LEFT = "0: gone. 1, the line: untouched. The orange mark is the wording in which most is left."
_SECTIONS: Sequence[tuple[str, str, tuple[Role, ...], float | None]] = (
    ("What is left", _LEFT, ("erased",), 1.0),
    ("Other words for them", "What is left of words that the text encoder answers like a name.", ("related",), 1.0),
    ("Called up by an attack", "What is left where the text's states are made to call it up.", ("attacked",), 1.0),
    (
        "Drift of what should stay",
        "0: predictions have not moved. 1: as far as the name itself moves them. The mark is the worst wording.",
        ("stays", "empty"),
        None,
    ),
)


def _section(style: Style, width: int, heading: str, told: str, bars: list[Bar], line: float | None) -> Page:
    return section(style, heading, told, [draw_bars(style, width, bars, _ROWS, axis(bars), line)])


def _bars(rows: Iterable[Row]) -> list[Bar]:
    return longest_first(
        Bar(row.name, row.overall, row.most[1] if row.most[0] else None, place) for place, row in enumerate(rows, 1)
    )
