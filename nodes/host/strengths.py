"""The strength of an edit that a model itself asks for: the least at which it says little enough of every name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...scapre.concepts.names import is_hidden
from ...scapre.edits.edit import Edit
from ...scapre.errors import shorten
from ...scapre.probe import WORDINGS, Asked, Strength, least_strength
from ...scapre.probe.scores import rows_of
from ...scapre.probe.strength import TRIES
from ...scapre.progress import Progress
from .patch import apply_edit
from .probe import HostModels, side_of
from .sampling import Sampling

MOST_NAMES = 8  # of each role
_STEPS, _POINTS, _CFG = 8, (1, 4), 1.0
_ASKED = WORDINGS[:3]
_TEXTS = 2 * len(_ASKED)
MOST_PREDICTIONS = 2 * MOST_NAMES * max(_POINTS) + (4 + TRIES) * MOST_NAMES * _TEXTS * len(_POINTS)
"""Predictions that are asked for at most: pictures, then both models of all names, and each strength of the erased."""
_SHOWN = 3
_PAYS = 0.1


def asked_strength(
    model: Any, clip: Any, edit: Edit, threshold: float, seed: int, size: int, progress: Progress
) -> tuple[float, list[str]]:
    """Asks a model at a few strengths of an edit; gives one, and what a report says of it.

    Args:
        model: The MODEL that the edit was solved on.
        clip: Its CLIP.
        edit: Of it.
        threshold: What may be left of every name.
        seed: Of the pictures that it is asked at.
        size: Side of those in pixels; 0 for what the model draws.
        progress: Told each step; may raise to stop.

    Raises:
        ScaPreError: If the model cannot be asked; see `HostModels` and `Asked`.
    """
    side = size or side_of(model)
    sampling = Sampling(seed, _STEPS, _CFG, "euler", "normal", side, side)
    models = HostModels(model, model, clip, sampling, _POINTS)
    asked = Asked(models, *_names(edit), _ASKED, [seed], progress)
    found = least_strength(asked, lambda value: models.edit(apply_edit(model, edit, value)), threshold, progress)
    return found.value, [*_told(found, threshold, asked.predictions), *_few(edit)]


def _names(edit: Edit) -> tuple[Sequence[str], Sequence[str]]:
    """The erased names of which the solver says that most is left, and the others that it says have moved farthest."""
    erased = [concept.text for concept in edit.concepts]
    return _greatest(edit.report.kept, erased), _greatest(edit.report.drift, edit.preserve)


def _greatest(figures: Mapping[str, float], names: Sequence[str]) -> list[str]:
    known = [name for name in names if not is_hidden(name)]
    return sorted(known, key=lambda name: -figures.get(name, 0.0))[:MOST_NAMES]


def _told(found: Strength, threshold: float, predictions: int) -> list[str]:
    left = f"most is left of {shorten(found.left.name)} ({found.left.overall:.2f})"
    tried = ", ".join(f"{most:.2f} at {value:g}" for value, most in found.tried)
    how = f"{predictions:,} predictions; the most that was left: {tried}"
    line = (
        f"Strength {found.value:g}, found by asking the model: the least that leaves no more than {threshold:g} of any "
        f"name; {left}. {how}"
        if found.reached
        else f"Strength {found.value:g} is the greatest that is tried, and does not suffice: {left}, more than "
        f"{threshold:g} (most_left). Choose another method or preset, or type an anchor. {how}"
    )
    pays = sorted(rows_of(found.probed, "stays"), key=lambda row: -row.overall)
    named = [f"{shorten(row.name)} ({row.overall:.2f})" for row in pays if row.overall >= _PAYS][:_SHOWN]
    said = f"Preserved names that pay for it, by how far their predictions moved: {', '.join(named)}"
    return [line, said] if named else [line]


def _few(edit: Edit) -> list[str]:
    few = f"Asked of the {MOST_NAMES} names of which the projections keep most; Probe asks of all"
    return [few] if len(edit.concepts) > MOST_NAMES else []
