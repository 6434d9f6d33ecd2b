"""`auto` with one part of it off at a time, on development names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

from . import report
from .evaluate import Evaluation, run
from .inprocess import pack
from .questions import VERSION, Sizes
from .tasks import Kind, Task, split_tasks

SIZES = Sizes(10, 8, 2)
ROWS = ("half of the styles", "half of the objects", "confusable pairs")

PARTS: Mapping[str, tuple[Mapping[str, Any], Mapping[tuple[str, str], Any]]] = {
    "auto": ({}, {}),
    "kin of the vocabulary: general words in their place": ({"search": False}, {}),
    "the same, never past the anchor": ({"search": False, "reach": 1.0}, {}),
    "mean of kin: the empty prompt in its place": ({}, {("study", "ANCHORS"): 0}),
    "past the anchor": ({"reach": 1.0}, {}),
    "moment of what stays": ({"keep": 0.0}, {}),
    "strong ridge: a hundredth of it": ({"hold": 0.1}, {}),
}
"""What is off, by settings of the node and by values of modules of `auto`."""


def tasks() -> list[Task]:
    """Return what every variant is asked."""
    found = split_tasks("development", SIZES, 3)
    return [task for task in found if report.group(task.name, task.kind) in ROWS]


@contextmanager
def _changed(values: Mapping[tuple[str, str], Any]) -> Iterator[None]:
    modules = {place: pack(f"scapre.methods.auto.{place[0]}") for place in values}
    before = {place: getattr(modules[place], place[1]) for place in values}
    try:
        for place, value in values.items():
            setattr(modules[place], place[1], value)
        yield
    finally:
        for place, value in before.items():
            setattr(modules[place], place[1], value)


def measure(evaluation: Evaluation, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return the rows' figures for each variant."""
    found: dict[str, Any] = {}
    for name, (settings, values) in PARTS.items():
        inputs = {kind: {"method": "auto", **settings} for kind in get_args(Kind)}
        with _changed(values):
            evaluation.forget()
            found[name] = report.as_json(run(evaluation, "auto-parts", inputs, tasks(), tell))["rows"]
    return {"version": VERSION, "variants": found}


def table(found: Mapping[str, Any]) -> str:
    """Return a Markdown table of H, with the distance of what was kept."""
    lines = [f"| off | {' | '.join(ROWS)} |", f"|---|{'--:|' * len(ROWS)}"]
    for name, rows in found["variants"].items():
        cells = [f"{rows[row]['H'][0]:.2f} ({rows[row]['distance']:.0f})" for row in ROWS]
        lines.append(f"| {'nothing' if name == 'auto' else name} | {' | '.join(cells)} |")
    return "\n".join(lines)
