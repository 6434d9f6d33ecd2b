"""Does the node Probe foretell pictures over strengths? Every method at four strengths, on every task.

Beside the drift of names that stay there is what they keep of their own guidance, which a shift of all predictions
leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from . import report
from .artists import Array
from .curves import SIZES, STRENGTHS
from .evaluate import Evaluation
from .inprocess import SAMPLING, pack
from .methods import METHODS
from .probed import PAIRS, POINTS, STEPS, mean, plain_tasks
from .questions import Choice, Role, Sizes, object_questions, style_questions
from .scores import hits_of
from .tasks import Task

TWINS = Sizes(2 * SIZES.target, 2 * SIZES.kept, 0)  # tasks of pairs ask half as many
WORDINGS = 2  # of those of the node
AGAIN: Mapping[Role, Sizes] = {"erase": Sizes(6, 0, 0), "in": Sizes(0, 18, 0)}
"""Pictures of what goes and of what stays that are counted beside those of `SIZES`, since six decide too little."""
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
    """All rows, with what the pictures of `AGAIN` show: how much is gone in those of erased names, and `lost`.

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
            if any("gone" not in found[place] for place in places):
                tell(f"{method}: {task.name}, again")
                before = _right(evaluation, "none", evaluation.loaded.model, again(task, "in"), "in")
                for place, (name, model) in zip(places, _edited(evaluation, method, task), strict=True):
                    gone, after = (_right(evaluation, name, model, again(task, role), role) for role in AGAIN)
                    found[place] = {**found[place], "gone": round(float(gone.mean()), 4), **lost(before, after)}
                yield list(found.values())


def lost(before: Array, after: Array) -> dict[str, float]:
    """Of pictures that show their name or not, (pictures,), the share that does, and the share that still does.

    What the unedited model draws wrong no edit can lose: `still` is of the pictures that it draws right, the same
    prompts and noise, and `right` is how many they are; of none, none is lost.
    """
    shares = {"again": after.mean(), "still": after[before].mean() if before.any() else 1.0}
    return {name: round(float(share), 4) for name, share in shares.items()} | {"right": int(before.sum())}


def again(task: Task, role: Role) -> Task:
    """Other prompts for the names that a task erases, or for those that it asks for and that stay."""
    ask = style_questions if task.kind == "style" else object_questions
    name = f"{task.name}, again" if role == "in" else f"{task.name}, erased again"
    erased = task.concepts if role == "in" else names_of(task, role)
    questions = ask(Choice(name), erased, AGAIN[role], kept=names_of(task, "in"))
    return replace(task, name=name, questions=tuple(questions))


def of_all(row: Mapping[str, Any]) -> dict[str, float]:
    """UA and IRA of all pictures of a row."""
    goes, stays = AGAIN["erase"].target, AGAIN["in"].kept
    return {
        "UA": float(SIZES.target * row["UA"] + goes * row["gone"]) / (SIZES.target + goes),
        "IRA": float(SIZES.kept * row["IRA"] + stays * row["again"]) / (SIZES.kept + stays),
    }


def pictures_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """How many pictures UA and IRA of `of_all`, and `still`, are of in each row, (rows,)."""
    counts = {"UA": SIZES.target + AGAIN["erase"].target, "IRA": SIZES.kept + AGAIN["in"].kept}
    found = {name: np.full(len(rows), count) for name, count in counts.items()}
    return {**found, "still": np.array([row["right"] for row in rows])}


def _right(evaluation: Evaluation, name: str, model: Any, task: Task, role: Role) -> Array:
    """Whether each picture shows what it should, (questions,)."""
    words = evaluation.ask_model(name, model, task).reading.words
    return hits_of(task.questions, words, role)[:, 0] == 1


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
