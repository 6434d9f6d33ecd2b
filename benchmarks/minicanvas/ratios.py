"""Erase against keep over how much FIA cuts: its share r2, and a strength for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from . import report
from .curves import blank, keep, tasks
from .evaluate import Evaluation, each
from .inprocess import pack
from .methods import METHODS
from .tasks import Task

Rows = list[Mapping[str, Any]]
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
FORMS = ("exact", "released")
STRENGTHS = (1.0, 2.0)
KINDS = ("styles", "objects")


class Remembered:
    """Pictures on their way that are drawn once, and shown again to whatever asks for the same in the same order."""

    def __init__(self, draw: Any, seen: dict[tuple[int, ...], list[tuple[Any, ...]]]) -> None:
        self._draw, self._seen = draw, seen
        self.batch = draw.batch

    def begin(self, texts: Sequence[str], names: Sequence[str]) -> None:
        self._draw.begin(texts, names)

    def advance(self, places: Sequence[int], step: int, watch: Callable[..., None]) -> None:
        key = (step, *places)
        if key not in self._seen:
            found: list[tuple[Any, ...]] = []
            self._draw.advance(places, step, lambda *seen: found.append(seen))
            self._seen[key] = found
        for seen in self._seen[key]:
            watch(*seen)


def rows(
    evaluation: Evaluation, split: str, known: Sequence[Mapping[str, Any]], tell: Callable[[str], None]
) -> Iterator[Rows]:
    """All rows so far, one for each form of Eq. 1 with a share and task: its figures by strength.

    Args:
        evaluation: MiniCanvas and its judge.
        split: Of the tasks.
        known: Rows that are there already.
        tell: Told each row.
    """
    cuts = {f"{form} {ratio:g}": (form, ratio) for form in FORMS for ratio in RATIOS}
    found = list(known)
    for task in tasks(split):
        seen: dict[tuple[int, ...], list[tuple[Any, ...]]] = {}

        def measure(method: str, task: Task, seen: Any = seen) -> dict[str, Any]:
            if method == "none":
                return {"0": _figures(evaluation, "none", evaluation.loaded.model, task)}
            return _over_strengths(evaluation, task, seen, *cuts[method])

        for more in each(found, [task], ["none", *cuts], measure, tell):
            found = more
            yield found


def _over_strengths(evaluation: Evaluation, task: Task, seen: Any, form: str, ratio: float) -> dict[str, Any]:
    node, apply = pack("nodes.erase_neurons").EraseNeurons, pack("nodes.host.patch").apply_edit
    watching = pack("nodes.host.watching")
    inputs = {name.removeprefix("neurons."): value for name, value in METHODS["fia"][task.kind].items()}
    inputs |= {"saliency": form, "neuron_ratio": ratio}
    loaded, found, drawn = evaluation.loaded, {}, watching.HostTrajectories
    watching.HostTrajectories = lambda *given: Remembered(drawn(*given), seen)
    try:
        with torch.inference_mode():
            edit = node.execute(loaded.model, loaded.clip, "\n".join(task.concepts), **inputs).args[1]
    finally:
        watching.HostTrajectories = drawn
    for strength in STRENGTHS:
        with torch.inference_mode():
            model = apply(loaded.model, edit, strength)
        found[f"{strength:g}"] = _figures(evaluation, f"fia-{form}-{ratio:g}@{strength:g}", model, task)
    return found


def _figures(evaluation: Evaluation, name: str, model: Any, task: Task) -> dict[str, float]:
    shares, _ = report.figures([evaluation.ask_model(name, model, task)])
    return {key: round(shares[key].value, 4) for key in ("UA", "IRA", "CRA")}


def points(rows: Sequence[Mapping[str, Any]], kind: str) -> dict[str, dict[str, tuple[float, float]]]:
    """What every cut of half of a kind keeps and erases, at each strength."""
    asked = [row for row in rows if row["task"].startswith(f"half of the {kind}/")]
    return {
        row["method"]: {name: (keep(row[name]), row[name]["UA"]) for name in row if name not in ("method", "task")}
        for row in asked
    }


def draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw a line over strength for every share, those of styles and of objects apart. It needs matplotlib.

    Raises:
        ValueError: matplotlib is not installed.
    """
    figure = blank(12, 5)
    for axis, kind in zip(figure.subplots(1, 2, sharey=True), KINDS, strict=True):
        found = points(rows, kind)
        for place, form in enumerate(FORMS):
            for shade, strength in enumerate(STRENGTHS):
                line = [*found["none"].values(), *(found[f"{form} {by:g}"][f"{strength:g}"] for by in RATIOS)]
                label = f"{form}, strength {strength:g}"
                style: dict[str, Any] = {"color": f"C{2 * place + shade}", "marker": "os"[place], "label": label}
                axis.plot(*zip(*line, strict=True), **style)
                side = {"xytext": (-5, 4 - 10 * shade), "ha": "right"} if place else {"xytext": (5, 4 - 10 * shade)}
                for point in dict.fromkeys(line[1:]):
                    there = ", ".join(f"{by:g}" for by, one in zip(RATIOS, line[1:], strict=True) if one == point)
                    axis.annotate(there, point, **side, textcoords="offset points", fontsize=7, color=style["color"])
        axis.set(title=f"half of the {kind}; figures are r2", xlabel="kept", xlim=(0.4, 1.2))
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("erased")
    figure.axes[0].legend(fontsize=8)
    figure.savefig(file, dpi=110)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table: what every share erases and keeps of styles and of objects, at each strength."""
    of = {kind: points(rows, kind) for kind in KINDS}
    heads = [f"{kind} at {by:g}" for kind in KINDS for by in STRENGTHS]
    lines = [f"| Eq. 1 | r2 | {' | '.join(heads)} |", "|---|--:|" + "--:|" * len(heads)]
    for form in FORMS:
        for ratio in RATIOS:
            cells = [of[kind][f"{form} {ratio:g}"][f"{by:g}"] for kind in KINDS for by in STRENGTHS]
            lines.append(
                f"| {form} | {ratio:g} | {' | '.join(f'{erased:.2f}, {kept:.2f}' for kept, erased in cells)} |"
            )
    return "\n".join(lines)
