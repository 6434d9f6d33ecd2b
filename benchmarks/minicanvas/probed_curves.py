"""Does the node Probe foretell pictures over strengths? Every method at four strengths, on every task.

Beside the drift of names that stay there is what they keep of their own guidance, which a shift of all predictions
leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from . import report
from .curves import SIZES, STRENGTHS
from .evaluate import Evaluation
from .inprocess import SAMPLING, pack
from .methods import METHODS
from .probed import PAIRS, POINTS, STEPS, mean, plain_tasks
from .questions import Choice, Sizes, object_questions, style_questions
from .tasks import Task

TWINS = Sizes(2 * SIZES.target, 2 * SIZES.kept, 0)  # tasks of pairs ask half as many
WORDINGS = 2  # of those of the node
AGAIN = 18
"""Pictures of what stays that are counted beside those of `SIZES`, since six decide too little."""
ASKED = ("auto", "uce", "rece", "speed", "oce", "dp", "precise", "scale")


def rows(
    evaluation: Evaluation, split: str, known: Sequence[Mapping[str, Any]], tell: Callable[[str], None]
) -> Iterator[list[Mapping[str, Any]]]:
    """All rows so far, one for each method, task and strength.

    Args:
        evaluation: MiniCanvas and its judge.
        split: Of the tasks.
        known: Rows that are there already.
        tell: Told each row.
    """
    found = list(known)
    there = {(row["method"], row["task"]) for row in known}
    for task in tasks(split):
        left = [method for method in ASKED if (method, task.name) not in there]
        if left:
            questions = _Questions(evaluation, task)
            for method in left:
                tell(f"{method}: {task.name}")
                found += questions.against(method)
                yield found


def tasks(split: str) -> list[Task]:
    """What every method is asked; of halves of a kind it is what `curves` asks, too."""
    pairs = [task for task in plain_tasks(split, TWINS, PAIRS) if task.kind == "confusable"]
    return [*plain_tasks(split, SIZES, 0), *pairs]


def names_of(task: Task, role: str) -> list[str]:
    """The names that its questions of a role ask for: the probe is asked about those that the judge is."""
    checks = (check for question in task.questions for check in question.checks)
    return list(dict.fromkeys(check.word for check in checks if check.role == role))


def counted_again(
    evaluation: Evaluation, split: str, known: Sequence[Mapping[str, Any]], tell: Callable[[str], None]
) -> Iterator[list[Mapping[str, Any]]]:
    """All rows, with the share of `AGAIN` other pictures of the names that stay which shows them: `again`.

    Args:
        evaluation: MiniCanvas and its judge.
        split: Of the tasks.
        known: All rows of the split.
        tell: Told each method and task.
    """
    found = {(row["method"], row["task"], row["strength"]): row for row in known}
    for task in tasks(split):
        for method in ASKED:
            places = [(method, task.name, strength) for strength in STRENGTHS]
            if any("again" not in found[place] for place in places):
                tell(f"{method}: {task.name}, again")
                shares = [
                    _share(evaluation, name, model, again(task)) for name, model in _edited(evaluation, method, task)
                ]
                found |= {place: {**found[place], "again": s} for place, s in zip(places, shares, strict=True)}
                yield list(found.values())


def again(task: Task) -> Task:
    """Other prompts for the names that stay of a task."""
    ask = style_questions if task.kind == "style" else object_questions
    choice, sizes = Choice(f"{task.name}, again"), Sizes(0, AGAIN, 0)
    questions = ask(choice, task.concepts, sizes, kept=names_of(task, "in"))
    return replace(task, name=f"{task.name}, again", questions=tuple(questions))


def kept_of_all(row: Mapping[str, Any]) -> float:
    """The share of all pictures of a row's names that stay which show them."""
    return float(SIZES.kept * row["IRA"] + AGAIN * row["again"]) / (SIZES.kept + AGAIN)


def _share(evaluation: Evaluation, name: str, model: Any, task: Task) -> float:
    return round(report.figures([evaluation.ask_model(name, model, task)])[0]["IRA"].value, 4)


def _edited(evaluation: Evaluation, method: str, task: Task) -> Iterator[tuple[str, Any]]:
    """A name for each strength of a method's edit, and the model with it."""
    node, apply = pack("nodes.erase_concepts").EraseConcepts, pack("nodes.host.patch").apply_edit
    loaded, inputs, names = evaluation.loaded, METHODS[method][task.kind], "\n".join(task.concepts)
    with torch.inference_mode():
        edit = node.execute(loaded.model, loaded.clip, names, **inputs).args[1]
        for strength in STRENGTHS:
            yield f"{method}@{strength:g}", apply(loaded.model, edit, strength)


class _Questions:
    """What the original model draws and predicts for the names of a task."""

    def __init__(self, evaluation: Evaluation, task: Task) -> None:
        host, engine = pack("nodes.host.probe"), pack("scapre.probe")
        self._evaluation, self._loaded, self._task, side = evaluation, evaluation.loaded, task, SAMPLING.size
        self._erased, self._kept = (names_of(task, role) for role in ("erase", "in"))
        settings = pack("nodes.host.sampling").Sampling(1, STEPS, SAMPLING.cfg, "euler", "normal", side, side)
        model = self._loaded.model
        with torch.inference_mode():
            self._models = host.HostModels(model, model, self._loaded.clip, settings, POINTS)
            # Kept names once as if they should be gone: what is left of their guidance is what they keep.
            names = [*self._erased, *self._kept]
            self._asked = engine.Asked(self._models, names, self._kept, engine.WORDINGS[:WORDINGS], [1])

    def against(self, method: str) -> Iterator[dict[str, Any]]:
        """What the judge and the probe say of a method at each strength."""
        edited = _edited(self._evaluation, method, self._task)
        for strength, (name, model) in zip(STRENGTHS, edited, strict=True):
            with torch.inference_mode():
                self._models.edit(model)
                shares, _ = report.figures([self._evaluation.ask_model(name, model, self._task)])
                judged = {key: round(shares[key].value, 4) for key in ("UA", "IRA")}
                row = {"method": method, "strength": strength, "task": self._task.name, **judged}
                yield row | self._figures(self._asked.against().rows)

    def _figures(self, rows: Sequence[Any]) -> dict[str, Any]:
        groups = {
            "left": [row for row in rows if row.role == "erased" and row.name in self._erased],
            "held": [row for row in rows if row.role == "erased" and row.name in self._kept],
            "moved": [row for row in rows if row.role == "stays"],
        }
        return {key: mean([row.overall for row in some]) for key, some in groups.items()} | {
            f"{key} by σ": [mean(column) for column in zip(*(row.points for row in some), strict=True)]
            for key, some in groups.items()
        }
