"""Results as JSON, as a table, and as pictures before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from .evaluate import Answers
from .judge import DOMAINS
from .questions import VERSION, Question
from .scores import SHARES, Share, distance, score
from .tasks import Task

SIDE_BY_SIDE = (
    *(f"{name}/held-out" for name in ("one style", "one object", "half of the styles", "half of the objects")),
    *(f"{name}/held-out" for name in ("heart, not apple", "cross, not airplane", "flower, not sun")),
    "curve, 10",
    "curve, 20",
)
"""The tasks on which all methods were measured."""
COLUMNS = (*SHARES, "beside", "H")
MARGIN, LINE, SIZE = 8, 18, 96
HEADING = 760
"""Pixels that the longest heading takes."""


def group(name: str, kind: str) -> str:
    """Return the row a task is counted in: both splits together, and all pairs of twins."""
    return "confusable pairs" if kind == "confusable" else name.split("/")[0]


def grouped(answers: Sequence[Answers]) -> dict[str, list[Answers]]:
    """Return the answers by row, in the tasks' order."""
    rows: dict[str, list[Answers]] = {}
    for entry in answers:
        rows.setdefault(group(entry.task.name, entry.task.kind), []).append(entry)
    return rows


def pictured(tasks: Sequence[Task], count: int) -> list[Task]:
    """Return, for every row, its first task with those questions alone whose pictures a sheet shows.

    Args:
        tasks: all of them.
        count: pictures of targets, and as many of what is kept.
    """
    rows: dict[str, Task] = {}
    for task in tasks:
        rows.setdefault(group(task.name, task.kind), task)
    return [replace(task, questions=_shown(task, count)) for task in rows.values()]


def figures(answers: Sequence[Answers]) -> tuple[dict[str, Share], float | None]:
    """Return the shares of some tasks' questions taken together, and the distance."""
    questions = [question for entry in answers for question in entry.task.questions]
    words = {name: [word for entry in answers for word in entry.reading.words[name]] for name in DOMAINS}
    features = torch.cat([entry.reading.features for entry in answers])
    return score(questions, words), distance(questions, features, torch.cat([entry.drawn for entry in answers]))


def as_json(answers: Sequence[Answers]) -> dict[str, Any]:
    """Return every task's and every row's figures: [value, low, high, count]."""

    def plain(some: Sequence[Answers]) -> dict[str, Any]:
        shares, apart = figures(some)
        found: dict[str, Any] = {
            name: [round(value, 4) for value in (share.value, share.low, share.high)] + [share.count]
            for name, share in shares.items()
        }
        return found | {"distance": None if apart is None else round(apart, 3)}

    rows = {name: plain(some) for name, some in grouped(answers).items()}
    tasks = {entry.task.name: plain([entry]) for entry in answers}
    seconds = {"sampling": sum(entry.seconds for entry in answers), "solving": sum(e.edit_seconds for e in answers)}
    return {"version": VERSION, "rows": rows, "tasks": tasks, "seconds": {k: round(v, 1) for k, v in seconds.items()}}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table: a line for each row and method."""
    lines = [f"| task | method | {' | '.join(COLUMNS)} | distance |", f"|---|---|{'--:|' * (len(COLUMNS) + 1)}"]
    names = dict.fromkeys(name for result in results.values() for name in result["rows"])
    for name in names:
        for method, result in results.items():
            row = result["rows"].get(name)
            if row:
                cells = [_cell(row.get(column), wide=column == "H") for column in COLUMNS]
                apart = "" if row["distance"] is None else f"{row['distance']:.1f}"
                lines.append(f"| {name} | {method} | {' | '.join(cells)} | {apart} |")
    return "\n".join(lines)


def side_by_side(results: Mapping[str, Mapping[str, Any]], names: Sequence[str] = SIDE_BY_SIDE) -> str:
    """Return a Markdown table of H with its interval: a line for each task, a column for each method."""
    lines = [f"| task | {' | '.join(results)} |", f"|---|{'--:|' * len(results)}"]
    for name in names:
        cells = [_cell(result["tasks"].get(name, {}).get("H"), wide=True) for result in results.values()]
        lines.append(f"| {name.removesuffix('/held-out')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(share: Sequence[float] | None, *, wide: bool) -> str:
    if share is None:
        return ""
    return f"{share[0]:.2f} [{share[1]:.2f}, {share[2]:.2f}]" if wide else f"{share[0]:.2f}"


def sheet(before: Sequence[Answers], after: Sequence[Answers]) -> Image.Image:
    """Draw, for every row, pictures of targets and of what is kept: above without the edit, below with it.

    Args:
        before: answers to `pictured` tasks of the model as it is.
        after: answers to all tasks of the edited model.
    """
    font = ImageFont.load_default(13)
    pairs = list(zip(before, [some[0] for some in grouped(after).values()], strict=True))
    step = LINE + 2 * (SIZE + 2) + MARGIN
    columns = max((len(one.task.questions) for one, _ in pairs), default=0)
    width = max(HEADING, 4 * MARGIN + columns * (SIZE + 4))
    page = Image.new("RGB", (width, MARGIN + step * len(pairs)), "white")
    draw = ImageDraw.Draw(page)
    for index, (one, two) in enumerate(pairs):
        top = MARGIN + index * step
        names = ", ".join(one.task.concepts[:4]) + (" ..." if len(one.task.concepts) > 4 else "")
        draw.text((MARGIN, top), f"{one.task.name}: erase {names}   (left: targets, right: kept)", "black", font)
        for column, question in enumerate(one.task.questions):
            left = MARGIN + column * (SIZE + 4) + (2 * MARGIN if question.retained else 0)
            for line, pixels in enumerate((one.pictures[column], two.pictures[two.task.questions.index(question)])):
                picture = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.NEAREST)
                page.paste(picture, (left, top + LINE + line * (SIZE + 2)))
    return page


def _shown(task: Task, count: int) -> tuple[Question, ...]:
    targets = [question for question in task.questions if not question.retained]
    kept = [question for question in task.questions if question.retained]
    return tuple(question for some in (targets, kept) for question in some[:: max(1, len(some) // count)][:count])
