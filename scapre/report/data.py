"""All that a report shows, as plain data: what the page, the Markdown and the picture of an edit are made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from ..edits.edit import Edit
from ..edits.figures import held_prompts
from ..families import Role, place
from ..states.prompts import NULL, wordings
from .conflicts import Conflicts, conflicts_of

NOTE = (
    "These figures check the solver: how the edited projections answer the text encoder's states. "
    "They do not prove what a picture shows; look at pictures."
)


_COLUMNS: Mapping[Role, Literal["key", "value"]] = {Role.KEY: "key", Role.VALUE: "value"}


class ConceptRow(TypedDict):
    """One wording of a concept; see `Report` for the figures. Where `kin` is true, its kin are its anchor."""

    name: str
    anchor: str
    kin: bool
    remaining: float | None
    kept: float | None


class DriftRow(TypedDict):
    """One text that should stay; the role is empty, anchor, preserved (only measured) or stays (held by the edit)."""

    name: str
    role: str
    drift: float | None


class BlockRow(TypedDict):
    """Relative change of one layer's key and value matrix, None where it has no such matrix."""

    block: str
    key: float | None
    value: float | None


class ReportData(TypedDict):
    """What `report_data` gives; an empty name is the empty prompt."""

    title: str
    lines: list[str]
    seconds: dict[str, float | None]
    concepts: list[ConceptRow]
    drift: list[DriftRow]
    blocks: list[BlockRow]
    conflicts: Conflicts | None
    notes: list[str]


def report_data(edit: Edit, title: str, lines: Sequence[str] = ()) -> ReportData:
    """The report of an edit as data that strict JSON can hold: numbers have four digits, or are None if not finite.

    Args:
        edit: Solved, merged, or from a file, with its names or with hidden ones.
        title: What was done, in a line.
        lines: What its maker has to add.
    """
    report = edit.report
    return {
        "title": title,
        "lines": [*lines, *_own(edit)],
        "seconds": {stage: _rounded(value) for stage, value in report.seconds.items()},
        "concepts": _concepts(edit),
        "drift": _drift(edit),
        "blocks": _blocks(edit),
        "conflicts": _conflicts(edit),
        "notes": [*report.notes, NOTE],
    }


def _own(edit: Edit) -> list[str]:
    """The figures that the edit's method alone has, in a line."""
    found = edit.solver.figures(edit.payload, edit.settings)
    return [", ".join(f"{name} {value:.4g}" for name, value in found.items())] if found else []


def _rounded(value: float) -> float | None:
    rounded = float(f"{value:.4g}") + 0.0  # + 0.0 makes -0.0 plain
    return rounded if math.isfinite(rounded) else None  # the largest numbers round to infinity


def _concepts(edit: Edit) -> list[ConceptRow]:
    """A row for each wording, in the order of the list; the figures of one text belong to its last pair."""
    report, anchors = edit.report, {pair.concept.text: pair.anchor.text for pair in edit.pairs}
    texts = dict.fromkeys(pair.concept.text for pair in wordings(edit.concepts, edit.templates))
    return [
        {
            "name": text,
            "anchor": anchors[text],
            "kin": edit.solver.kin and anchors[text] == NULL,
            "remaining": _rounded(report.remaining[text]),
            "kept": _rounded(report.kept[text]),
        }
        for text in texts
    ]


def _drift(edit: Edit) -> list[DriftRow]:
    """The empty prompt first; an anchor that is preserved counts as preserved."""
    roles = {NULL: "empty"} | dict.fromkeys(edit.preserve, "stays" if edit.solver.preserves else "preserved")
    figures, order = edit.report.drift, [NULL, *held_prompts(edit.pairs, edit.preserve)]
    return [{"name": text, "role": roles.get(text, "anchor"), "drift": _rounded(figures[text])} for text in order]


def _blocks(edit: Edit) -> list[BlockRow]:
    found: dict[str, BlockRow] = {}
    for name, change in edit.report.change.items():
        where = place(edit.family, name)
        row = found.setdefault(where.layer, {"block": where.label, "key": None, "value": None})
        row[_COLUMNS[where.role]] = _rounded(change)
    return list(found.values())


def _conflicts(edit: Edit) -> Conflicts | None:
    found = conflicts_of(edit)
    return found and {**found, "cosines": [[_rounded(value) or 0.0 for value in row] for row in found["cosines"]]}
