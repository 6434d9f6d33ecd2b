"""Erase against keep over each method's own strength: how smoothly it can be turned."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import report
from .evaluate import Evaluation, run
from .methods import methods
from .questions import VERSION, Sizes
from .tasks import Task, split_tasks

METHODS = ("auto", "uce", "rece", "speed", "oce", "dp", "precise", "scale", "fia", "fia-wide")
STRENGTHS = (0.5, 1.0, 1.5, 2.0)
SIZES = Sizes(6, 6, 2)
TASKS = ("half of the styles", "half of the objects")


def tasks(split: str) -> list[Task]:
    """Return what every point of a curve is asked."""
    return [task for task in split_tasks(split, SIZES, 0) if task.name.split("/")[0] in TASKS]


def measure(evaluation: Evaluation, split: str, names: Sequence[str], tell: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of both tasks together for each method and strength; strength 0 is the model as it is."""
    asked = tasks(split)
    found: dict[str, Any] = {"version": VERSION, "none": _point(evaluation, "none", asked, tell)}
    for name in names:
        found[name] = {f"{by:g}": _point(evaluation, f"{name}@{by:g}", asked, tell) for by in STRENGTHS}
    return found


def _point(evaluation: Evaluation, name: str, asked: Sequence[Task], tell: Callable[[str], None]) -> dict[str, float]:
    answers = run(evaluation, name, methods([name])[name], asked, tell)
    shares, apart = report.figures(answers)
    return {key: round(share.value, 4) for key, share in shares.items()} | {"distance": round(apart or 0, 3)}


def keep(point: Mapping[str, float]) -> float:
    """Return the mean of what is kept within and across kinds."""
    return (point["IRA"] + point["CRA"]) / 2


def blank(width: float, height: float) -> Any:
    """Return a figure of so many inches to draw on.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("the figure needs matplotlib: pip install matplotlib") from None
    return Figure(figsize=(width, height), layout="constrained")


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Draw both figures over strength, and one against the other. It needs matplotlib.

    Raises:
        ValueError: matplotlib is not installed.
    """
    figure = blank(12, 4)
    axes = figure.subplots(1, 3)
    names = [name for name in METHODS if name in found]
    for place, name in enumerate(names):
        points = {0.0: found["none"], **{float(by): point for by, point in found[name].items()}}
        style: dict[str, Any] = {"color": f"C{place}", "marker": "o", "markersize": 4, "label": name}
        style |= {"linewidth": 2.5, "zorder": 3} if name == "auto" else {"linewidth": 1.2, "alpha": 0.85}
        erased, kept = [point["UA"] for point in points.values()], [keep(point) for point in points.values()]
        for axis, across, up in ((axes[0], points, erased), (axes[1], points, kept), (axes[2], kept, erased)):
            axis.plot(list(across), up, **style)
    for axis, across, up in zip(axes, ("strength", "strength", "kept"), ("erased", "kept", "erased"), strict=True):
        axis.set(xlabel=across, ylabel=up)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    axes[2].set_title("up and to the right is better", fontsize=9)
    figure.savefig(file, dpi=110)


def write(found: Mapping[str, Any], file: Path) -> None:
    """Write the figures, and what was measured before of other methods with them, and draw all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    whole = {**(before if before.get("version") == VERSION else {}), **found}
    file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    draw(whole, file.with_suffix(".png"))
