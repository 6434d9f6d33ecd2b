"""Does the node Probe foretell pictures over strengths? Every method at four strengths.

The pictures are those that `curves` has counted: half of the styles and half of the objects together. Beside the drift
of names that stay there is what they keep of their own guidance, which a shift of all predictions leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from .curves import STRENGTHS, tasks
from .inprocess import SAMPLING, Loaded, pack
from .methods import METHODS
from .probed import POINTS, STEPS, mean, names_of
from .tasks import Task

FEW, WORDINGS = 3, 2  # names of each role, and wordings, of those of the node
ASKED = ("auto", "uce", "rece", "speed", "oce", "dp", "precise", "scale")
FIGURES = ("left", "moved", "held")


def rows(
    loaded: Loaded,
    split: str,
    counted: Mapping[str, Any],
    known: Sequence[Mapping[str, Any]],
    tell: Callable[[str], None],
) -> Iterator[list[Mapping[str, Any]]]:
    """All rows so far, one for each method and strength.

    Args:
        loaded: MiniCanvas.
        split: Of the tasks.
        counted: What `curves` has counted of them.
        known: Rows that are there already.
        tell: Told each row.
    """
    found = list(known)
    there = {row["method"] for row in known}
    asked: dict[str, Any] = {}
    for method in ASKED:
        if method in there:
            continue
        tell(method)
        parts = [_asked(loaded, method, task, asked) for task in tasks(split)]
        for strength in STRENGTHS:
            point = counted[method][f"{strength:g}"]
            each = [part[strength] for part in parts]
            figures = {key: mean([part[key] for part in each]) for key in FIGURES}
            by = {
                f"{key} by σ": [mean(some) for some in zip(*(p[f"{key} by σ"] for p in each), strict=True)]
                for key in FIGURES
            }
            judged = {key: point[key] for key in ("UA", "IRA")}
            found.append({"method": method, "strength": strength, **judged, **figures, **by})
        yield found


def _asked(loaded: Loaded, method: str, task: Task, asked: dict[str, Any]) -> dict[float, dict[str, Any]]:
    """Figures by strength."""
    host, engine = pack("nodes.host.probe"), pack("scapre.probe")
    node, apply = pack("nodes.erase_concepts").EraseConcepts, pack("nodes.host.patch").apply_edit
    erased, kept = (names[:FEW] for names in names_of(task))
    with torch.inference_mode():
        inputs = METHODS[method][task.kind]
        edit = node.execute(loaded.model, loaded.clip, "\n".join(task.concepts), **inputs).args[1]
        if task.name not in asked:
            side = SAMPLING.size
            settings = pack("nodes.host.sampling").Sampling(1, STEPS, SAMPLING.cfg, "euler", "normal", side, side)
            models = host.HostModels(loaded.model, loaded.model, loaded.clip, settings, POINTS)
            # Kept names once as if they should be gone: what is left of their guidance is what they keep.
            asked[task.name] = models, engine.Asked(models, [*erased, *kept], kept, engine.WORDINGS[:WORDINGS], [1])
        models, questions = asked[task.name]
        found: dict[float, dict[str, Any]] = {}
        for strength in STRENGTHS:
            models.edit(apply(loaded.model, edit, strength))
            given = questions.against().rows
            groups = {
                "left": [row for row in given if row.role == "erased" and row.name in erased],
                "held": [row for row in given if row.role == "erased" and row.name in kept],
                "moved": [row for row in given if row.role == "stays"],
            }
            found[strength] = {key: mean([row.overall for row in some]) for key, some in groups.items()} | {
                f"{key} by σ": [mean(column) for column in zip(*(row.points for row in some), strict=True)]
                for key, some in groups.items()
            }
    return found
