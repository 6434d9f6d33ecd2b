"""The report of an edit as one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from ...scapre.report.conflicts import Conflicts
from ...scapre.report.data import ConceptRow, ReportData
from .bars import Bar, axis, draw_bars, longest_first
from .heat_map import draw_heat_map
from .matrix import draw_matrix
from .page import Page, beside, paragraph, section, stack
from .themes import LARGE, THEMES, Style

_UNITS = 58  # across the picture
_MARGIN, _BETWEEN = 2, 3  # units around it, and between two columns
_CONCEPTS, _HELD, _STAGES = 24, 14, 8  # bars
_MATRIX = 31  # units


def draw_edit_map(data: ReportData, width: int, theme: str) -> Image.Image:
    """Draws a report: bars, the change of the layers, and the concepts that lie close to each other.

    Args:
        data: What `report_data` gives.
        width: In pixels; all else is in proportion, and the height is what it takes.
        theme: A key of `THEMES`.
    """
    style = Style(THEMES[theme], width // _UNITS)
    margin = style.px(_MARGIN)
    body = stack(style, list(_parts(style, width - 2 * margin, data)), 1.6)
    whole = Page(style, width, body.image.height + 2 * margin)
    whole.image.paste(body.image, (margin, margin))
    return whole.image


def _parts(style: Style, width: int, data: ReportData) -> Iterator[Page]:
    title = paragraph(style, data["title"], width, LARGE, faint=False)
    yield stack(style, [title, *(paragraph(style, line, width, 1) for line in data["lines"])], 0.1)
    half = (width - style.px(_BETWEEN)) // 2
    yield beside(style, _concepts(style, half, data), stack(style, list(_right(style, half, data)), 1.6), width)
    yield section(
        style,
        "Change by layer",
        "How much of each matrix is new: keys (K) and values (V) of the text, outputs (F) of feed-forward layers, and "
        "the rest of a layer (R).",
        [draw_heat_map(style, width, data["blocks"])],
    )
    if data["conflicts"]:
        yield _conflicts(style, width, data["conflicts"], data["concepts"])
    yield paragraph(style, data["notes"][-1], width)


def _concepts(style: Style, width: int, data: ReportData) -> Page:
    if data["neurons"]:
        return _neurons(style, width, data)
    rows = enumerate(data["concepts"], 1)
    bars = longest_first(Bar(row["name"], row["remaining"], row["kept"], place) for place, row in rows)
    mark = " The orange mark is the share kept of the old answer."
    return section(
        style,
        "Remaining response",
        "0: answers like its anchor. 1, the line: as before." + mark * any(bar.mark is not None for bar in bars),
        [draw_bars(style, width, bars, _CONCEPTS, axis(bars), 1.0)],
    )


def _neurons(style: Style, width: int, data: ReportData) -> Page:
    rows = [row for row in data["neurons"] if row["role"] == "erased"]
    most = max((row["answering"] or 0 for row in rows), default=0) or 1
    bars = longest_first(
        Bar(row["name"], _share(row["answering"], most), _share(row["cut"], most), place)
        for place, row in enumerate(rows, 1)
    )
    return section(
        style,
        "Weights that answer",
        f"1 is {most:,} weights that answer a name. The orange mark is how many of them are cut.",
        [draw_bars(style, width, bars, _CONCEPTS, axis(bars))],
    )


def _share(count: int | None, most: int) -> float | None:
    return None if count is None else count / most


def _right(style: Style, width: int, data: ReportData) -> Iterator[Page]:
    roles = {"anchor": " (anchor)"}
    rows = enumerate(data["drift"])  # the empty prompt is the first
    held = longest_first(Bar(row["name"], row["drift"], None, place, roles.get(row["role"], "")) for place, row in rows)
    if held:
        bars = draw_bars(style, width, held, _HELD, axis(held))
        yield section(style, "Drift of what should stay", "0: the answer has not moved.", [bars])
    times = [Bar(stage, seconds) for stage, seconds in data["seconds"].items()]
    longest = max((bar.value or 0.0 for bar in times), default=0.0)
    drawn = draw_bars(style, width, times, _STAGES, longest or 1.0)
    total = sum(bar.value or 0.0 for bar in times)
    yield section(style, "Seconds by stage", f"{total:.2f} s in all.", [drawn])


def _conflicts(style: Style, width: int, conflicts: Conflicts, concepts: Sequence[ConceptRow]) -> Page:
    count, of = len(conflicts["names"]), conflicts["of"]
    some = f"The {count} of {of:,} concepts that lie closest to another one. " if count < of else ""
    places = {row["name"]: place for place, row in enumerate(concepts, 1)}
    return section(
        style,
        "Concepts close to each other",
        f"{some}Cosine of the concepts' vectors. Near 1: erasing one touches the other.",
        [draw_matrix(style, width, style.px(_MATRIX), conflicts, places)],
    )
