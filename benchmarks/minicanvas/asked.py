"""Does the strength that a model asks for erase what 1 leaves, and keep what 1 harms? `auto_strength` against 1.

Held-out names: one style, one object, and half of each, with every second name that stays listed under preserve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from . import report
from .evaluate import Evaluation, each
from .inprocess import SAMPLING, pack
from .methods import LISTED, METHODS, listed
from .questions import Sizes
from .tasks import Task, split_tasks

ASKED = ("auto", "uce", "dp", "speed", "scale")
SIZES = Sizes(12, 12, 2)
TASKS = 4
_SEED, _MOST_LEFT = 1, 0.0  # the node's own
_FIGURES = ("UA", "IRA", "CRA")


def rows(
    evaluation: Evaluation, known: Sequence[Mapping[str, Any]], tell: Callable[[str], None]
) -> Iterator[list[Mapping[str, Any]]]:
    """All rows so far, one for each method and task.

    Args:
        evaluation: MiniCanvas and its judge.
        known: Rows that are there already.
        tell: Told each row.
    """
    return each(known, tasks(), ASKED, lambda method, task: _asked(evaluation, method, task), tell)


def tasks() -> list[Task]:
    """What is erased, and asked of the pictures."""
    return list(split_tasks("held-out", SIZES, 0))[:TASKS]


def _asked(evaluation: Evaluation, method: str, task: Task) -> dict[str, Any]:
    loaded, inputs = evaluation.loaded, METHODS[method][task.kind]
    node, apply = pack("nodes.erase_concepts").EraseConcepts, pack("nodes.host.patch").apply_edit
    kept = ", ".join(listed(task, {LISTED: "half"}))
    ask = pack("nodes.host.strengths").asked_strength
    with torch.inference_mode():
        edit = node.execute(loaded.model, loaded.clip, "\n".join(task.concepts), preserve=kept, **inputs).args[1]
        strength, told = ask(loaded.model, loaded.clip, edit, _MOST_LEFT, _SEED, SAMPLING.size, lambda *_: None)
        figures = {by: _judged(evaluation, task, apply(loaded.model, edit, by)) for by in (1.0, strength)}
    reached = "does not suffice" not in told[0]
    return {"strength": strength, "reached": reached, "usual": figures[1.0], "asked": figures[strength]}


def _judged(evaluation: Evaluation, task: Task, model: Any) -> dict[str, float]:
    pictures = evaluation.draw(model, [(question.text, question.seed) for question in task.questions])
    shares, apart = report.figures([evaluation.read(task, pictures)])
    found = {name: round(shares[name].value, 4) for name in _FIGURES if name in shares}
    return found | {"distance": round(apart or 0.0, 3)}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the rows."""
    lines = [
        "| task | method | strength | UA at 1 | IRA | CRA | UA as asked | IRA | CRA |",
        "|---|---|--:|" + "--:|" * 6,
    ]
    for row in found:
        shown = (f"{row[at].get(name, float('nan')):.2f}" for at in ("usual", "asked") for name in _FIGURES)
        strength = f"{row['strength']:g}" if row["reached"] else f"{row['strength']:g} (too little)"
        lines.append(f"| {row['task'].partition('/')[0]} | {row['method']} | {strength} | {' | '.join(shown)} |")
    return "\n".join(lines)
