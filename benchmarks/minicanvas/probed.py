"""Does the node Probe foretell pictures? Its figures of edits whose pictures the judge has read, and their ranks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .artists import Array
from .inprocess import SAMPLING, Loaded, pack
from .methods import METHODS, listed
from .questions import Sizes, without
from .tasks import FULL, Task, split_tasks
from .world import ARTIST_NAMES, OBJECTS

JUDGED = ("none", "auto", "precise", "scale", "uce", "rece", "speed", "oce", "dp", "auto-without-search")
"""Methods of closed forms whose pictures were judged, of both splits."""
_MOST = 4  # names of a task, erased ones and others
_DRAWS = 300
STEPS, POINTS = 12, (2, 4, 6)
PAIRS = 3  # twins


def rows(
    loaded: Loaded, split: str, results: Path, known: Sequence[Mapping[str, Any]], tell: Callable[[str], None]
) -> Iterator[list[Mapping[str, Any]]]:
    """All rows so far, one for each method and task: what the judge read, what the probe found, what the report says.

    Args:
        loaded: MiniCanvas.
        split: Of the tasks.
        results: Where the judge's figures are.
        known: Rows that are there already.
        tell: Told each row.
    """
    found = list(known)
    there = {(row["method"], row["task"]) for row in known}
    for task in plain_tasks(split, Sizes(1, 1, 1), PAIRS):
        for method in JUDGED:
            judged = _judged(results, method, split, task.name)
            if judged and (method, task.name) not in there:
                found.append({"method": method, "task": task.name, **judged, **_asked(loaded, method, task)})
                tell(f"{method}: {task.name}")
                yield found


def _judged(results: Path, method: str, split: str, task: str) -> dict[str, float] | None:
    file = next((f for f in (results / f"{method}.json", results / split / f"{method}.json") if f.is_file()), None)
    tasks = json.loads(file.read_text(encoding="utf-8"))["tasks"] if file else {}
    return {key: tasks[task][key][0] for key in ("UA", "IRA")} if task in tasks else None


def _some(names: Sequence[str]) -> list[str]:
    """A few names, evenly spread."""
    step = max(1, len(names) // _MOST)
    return list(names[::step][:_MOST])


def plain_tasks(split: str, sizes: Sizes, pairs: int) -> list[Task]:
    """Tasks of a split without those that differ from others in their wordings alone."""
    return [task for task in split_tasks(split, sizes, pairs) if "paraphrased" not in task.name]


def names_of(task: Task) -> tuple[list[str], list[str]]:
    """A few names of a task, erased ones and others."""
    pool = ARTIST_NAMES if task.kind == "style" else OBJECTS
    twin = task.name.partition(", not ")[2].partition("/")[0]  # of a pair, that alone is asked for
    return _some(task.concepts), [twin] if twin else _some(without(pool, task.concepts))


def _asked(loaded: Loaded, method: str, task: Task) -> dict[str, float]:
    host, engine = pack("nodes.host.probe"), pack("scapre.probe")
    sampling = pack("nodes.host.sampling").Sampling
    model, report = loaded.model, None
    inputs = METHODS[method].get(task.kind)
    with torch.inference_mode():
        if inputs:
            names = ", ".join(listed(task, inputs))
            node = pack("nodes.erase_concepts").EraseConcepts
            model, edit, _ = node.execute(
                model, loaded.clip, "\n".join(task.concepts), **{**inputs, "preserve": names}
            ).args
            report = edit.report
        erased, kept = names_of(task)
        side = SAMPLING.size
        settings = sampling(1, STEPS, SAMPLING.cfg, "euler", "normal", side, side)
        models = host.HostModels(loaded.model, model, loaded.clip, settings, POINTS)
        found = engine.measure(models, erased, kept, engine.WORDINGS, [1])
    left = [row.overall for row in found.rows if row.role == "erased"]
    drift = [row.overall for row in found.rows if row.role == "stays"]
    solver = {"kept": 1.0, "drift": 0.0}
    if report:
        solver = {"kept": mean(report.kept.values()), "drift": mean(report.drift.values())}
    return {"left": mean(left), "moved": mean(drift), **solver}


def mean(values: Any) -> float:
    return float(np.mean(list(values)))


def counts_of(split: str) -> dict[str, dict[str, int]]:
    """How many pictures UA and IRA of every task are of, in the tables."""
    roles = {"UA": "erase", "IRA": "in"}
    return {
        task.name: {
            key: sum(check.role == role for q in task.questions for check in q.checks) for key, role in roles.items()
        }
        for task in plain_tasks(split, FULL, PAIRS)
    }


def ranked(rows: Sequence[Mapping[str, Any]], counts: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Spearman's rank correlations, each turned round: of what is left with UA, and of the drift with IRA.

    Over all edits, and within a task, where the question is which edit of the same names erases or keeps more. Beside
    them what the probe's figures would have if they decided everything, and pictures were counted anew.

    Args:
        rows: One for each method and task.
        counts: How many pictures UA and IRA of a task are of.
    """
    columns = {key: np.array([row[key] for row in rows]) for key in ("UA", "IRA", "left", "moved", "kept", "drift")}
    pairs = {
        "left with UA": ("left", "UA"),
        "drift with IRA": ("moved", "IRA"),
        "report's kept with UA": ("kept", "UA"),
        "report's drift with IRA": ("drift", "IRA"),
    }
    found = {name: -spearman(columns[figure], columns[judged]) for name, (figure, judged) in pairs.items()}
    for name, (figure, judged) in pairs.items():
        found[f"{name}, mean within a task"] = -_within(rows, figure, judged)
    for name in ("left with UA", "drift with IRA"):
        figure, judged = pairs[name]
        pictures = np.array([counts[row["task"]][judged] for row in rows])
        found[f"{name}, if it decided"] = decided(columns[figure], columns[judged], pictures)
    return found


def _within(rows: Sequence[Mapping[str, Any]], figure: str, judged: str) -> float:
    """The mean of the correlations among edits of the same task, where they differ at all."""
    tasks = [[row for row in rows if row["task"] == task] for task in dict.fromkeys(row["task"] for row in rows)]
    columns = [[np.array([row[key] for row in some]) for key in (figure, judged)] for some in tasks]
    return mean([spearman(values, seen) for values, seen in columns if len(set(seen)) > 1])


def ranked_over(rows: Sequence[Mapping[str, Any]], counts: Mapping[str, Array]) -> dict[str, float]:
    """The same over strengths, and at every σ: rank correlations with UA, IRA and what is still kept, turned round.

    Beside them those of the means over tasks, one for each method and strength, and what a second count would have.

    Args:
        rows: One for each method, task and strength.
        counts: How many pictures UA, IRA and `still` are of, (rows,) each.
    """
    judged = {key: np.array([row[key] for row in rows]) for key in ("UA", "IRA", "still")}
    found = {f"{key}, counted again": recounted(values, counts[key]) for key, values in judged.items()}
    edits = [
        [row for row in rows if (row["method"], row["strength"]) == edit]
        for edit in dict.fromkeys((row["method"], row["strength"]) for row in rows)
    ]
    for figure, against, sign in (
        ("left", "UA", -1), ("moved", "IRA", -1), ("held", "IRA", 1), ("moved", "still", -1), ("held", "still", 1)
    ):  # fmt: skip
        columns = {"": [row[figure] for row in rows]}
        points = len(rows[0][f"{figure} by σ"])
        columns |= {f" at point {place}": [row[f"{figure} by σ"][place] for row in rows] for place in range(points)}
        for name, values in columns.items():
            found[f"{figure}{name} with {against}"] = sign * spearman(np.array(values), judged[against])
        found[f"{figure} with {against}, mean within a task"] = sign * _within(rows, figure, against)
        means = [np.array([mean([row[key] for row in some]) for some in edits]) for key in (figure, against)]
        found[f"{figure} with {against}, means over tasks"] = sign * spearman(*means)
    for figure, against in (("left", "UA"), ("moved", "IRA"), ("moved", "still")):
        columns = {key: np.array([row[key] for row in rows]) for key in (figure, against)}
        found[f"{figure} with {against}, if it decided"] = decided(columns[figure], columns[against], counts[against])
    return found


def recounted(shares: Array, count: Array | int) -> float:
    """The rank correlation that shares of so many pictures each have with those of as many others, on average.

    What a share was counted from is taken to be any share that may give it, by Jeffreys' prior.
    """
    random = np.random.Generator(np.random.PCG64(0))
    seen = shares * count
    true = random.beta(seen + 0.5, count - seen + 0.5, (_DRAWS, len(shares)))
    first, second = (random.binomial(count, true) / count for _ in range(2))
    return mean([spearman(one, other) for one, other in zip(first, second, strict=True)])


def decided(figure: Array, shares: Array, counts: Array) -> float:
    """The rank correlation that a figure would have on average with shares of so many pictures, if it decided them.

    The rates are those that fit the shares best and only fall as the figure rises; pictures are counted anew from them.
    """
    from scipy.optimize import isotonic_regression

    order = figure.argsort(kind="stable")
    rates = np.empty(len(figure))
    rates[order] = isotonic_regression(shares[order], weights=counts[order], increasing=False).x.clip(0, 1)
    random = np.random.Generator(np.random.PCG64(0))
    return mean([-spearman(figure, random.binomial(counts, rates) / counts) for _ in range(_DRAWS)])


def spearman(one: Array, other: Array) -> float:
    """The correlation of ranks, equal values sharing the mean of theirs."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: Array) -> Array:
    order = values.argsort(kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(len(values))
    for value in np.unique(values):
        ranks[values == value] = ranks[values == value].mean()
    return ranks
