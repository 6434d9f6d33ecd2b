"""All that a report shows, as plain data: what the page, the Markdown and the picture of an edit are made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from ..edits.edit import Edit
from ..edits.figures import held_names
from ..families import Role, place
from ..states.prompts import NULL, wordings
from ..states.readings import plain
from .conflicts import Conflicts, conflicts_of

NOTE = (
    "These figures check the solver: how the edited projections answer the text encoder's states. "
    "They do not prove what a picture shows; look at pictures."
)
NOTE_ON_TRAINING = (
    "Remaining is what the last iterations have left of the way to where a concept should go; it does not prove what a "
    "picture shows. Look at pictures, with Before and After."
)
NOTE_ON_NEURONS = (
    "These figures count weights; they do not prove what a picture shows. Look at pictures, with Before and After."
)

MatrixKind = Literal["key", "value", "output", "rest"]

_COLUMNS: Mapping[Role, MatrixKind] = {
    Role.KEY: "key", Role.VALUE: "value", Role.FEED_FORWARD: "output", Role.QUERY: "rest", Role.ANSWER: "rest",
    Role.OTHER: "rest", Role.INPUT: "value", Role.POOLED: "value", Role.LAYER: "value",
}  # fmt: skip
LETTERS: Mapping[MatrixKind, str] = {"key": "K", "value": "V", "output": "F", "rest": "R"}
"""What each kind of matrix is called beside figures."""


def changed_kinds(blocks: Sequence[BlockRow]) -> list[MatrixKind]:
    """The kinds of matrices that any layer has changed ones of."""
    return [kind for kind in LETTERS if any(row[kind] is not None for row in blocks)]


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
    """Relative change of one layer's key, value and feed-forward output, None where that is not changed.

    The rest is what is changed most of its other matrices.
    """

    block: str
    key: float | None
    value: float | None
    output: float | None
    rest: float | None


class NeuronRow(TypedDict):
    """How many weights answer a name, and how many of them are cut; the role is erased or stays."""

    name: str
    role: str
    answering: int | None
    cut: int | None


class ReportData(TypedDict):
    """What `report_data` gives; an empty name is the empty prompt."""

    title: str
    lines: list[str]
    seconds: dict[str, float | None]
    concepts: list[ConceptRow]
    drift: list[DriftRow]
    blocks: list[BlockRow]
    neurons: list[NeuronRow]
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
        "neurons": _neurons(edit),
        "conflicts": _conflicts(edit),
        "notes": [*report.notes, _note(edit)],
    }


def _note(edit: Edit) -> str:
    if edit.solver.reads_text:
        return NOTE
    return NOTE_ON_TRAINING if edit.solver.trains else NOTE_ON_NEURONS


def _own(edit: Edit) -> list[str]:
    """The figures that the edit's method alone has, in a line."""
    found = edit.solver.figures(edit.payload, edit.settings)
    told = (f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4g}" for name, value in found.items())
    return [", ".join(told)] if found else []


def _rounded(value: float) -> float | None:
    rounded = float(f"{value:.4g}") + 0.0  # + 0.0 makes -0.0 plain
    return rounded if math.isfinite(rounded) else None  # the largest numbers round to infinity


def _known(figures: Mapping[str, float], text: str) -> float | None:
    return _rounded(figures[text]) if text in figures else None


def _concepts(edit: Edit) -> list[ConceptRow]:
    """A row for each wording, in the order of the list; the figures of one text belong to its last pair."""
    left = edit.solver.remaining(edit.payload)
    remaining = edit.report.remaining if left is None else dict(zip((c.text for c in edit.concepts), left, strict=True))
    report = edit.report
    anchors = {plain(pair.concept.text): plain(pair.anchor.text) for pair in edit.pairs}
    texts = dict.fromkeys(plain(pair.concept.text) for pair in wordings(edit.concepts, edit.templates))
    return [
        {
            "name": text,
            "anchor": anchors[text],
            "kin": edit.solver.kin and anchors[text] == NULL,
            "remaining": _known(remaining, text),
            "kept": _known(report.kept, text),
        }
        for text in texts
    ]


def _drift(edit: Edit) -> list[DriftRow]:
    """The empty prompt first; an anchor that is preserved counts as preserved."""
    roles = {NULL: "empty"} | dict.fromkeys(edit.preserve, "stays" if edit.solver.preserves else "preserved")
    figures, order = edit.report.drift, [NULL, *held_names(edit.pairs, edit.preserve)]
    return [
        {"name": text, "role": roles.get(text, "anchor"), "drift": _rounded(figures[text])}
        for text in order
        if text in figures
    ]


def _blocks(edit: Edit) -> list[BlockRow]:
    found: dict[str, BlockRow] = {}
    changes = [edit.report.change, *(part.report.change for part in edit.further.values())]
    for name, change in (pair for some in changes for pair in some.items()):
        where = place(edit.family, name)
        empty: BlockRow = {"block": where.label, "key": None, "value": None, "output": None, "rest": None}
        row, kind = found.setdefault(where.layer, empty), _COLUMNS[where.role]
        row[kind] = max(_rounded(change), row[kind] or 0.0, key=lambda value: value or 0.0)
    return list(found.values())


def _neurons(edit: Edit) -> list[NeuronRow]:
    """A row for each name, of edits that cut weights."""
    if not edit.solver.counts:
        return []
    names = [(concept.text, "erased") for concept in edit.concepts] + [(name, "stays") for name in edit.preserve]
    found: Sequence[tuple[int | None, int | None]] = [(None, None)] * len(names)
    if edit.states.moments:
        found = edit.solver.counted(edit.payload, edit.states.moments)
    return [
        {"name": name, "role": role, "answering": answering, "cut": cut}
        for (name, role), (answering, cut) in zip(names, found, strict=True)
    ]


def _conflicts(edit: Edit) -> Conflicts | None:
    found = conflicts_of(edit)
    return found and {**found, "cosines": [[_rounded(value) or 0.0 for value in row] for row in found["cosines"]]}
