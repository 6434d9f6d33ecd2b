"""The strength of an edit that a model itself asks for: the least at which it says little enough of every name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...scapre.concepts.names import is_hidden, normalise
from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError, shorten, some
from ...scapre.probe import WORDINGS, Asked, Strength, least_strength
from ...scapre.probe.scores import rows_of
from ...scapre.probe.strength import TRIES
from ...scapre.progress import Progress
from .patch import apply_edit
from .probe import HostModels, side_of
from .sampling import Sampling, empty_latent

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
    models = HostModels(model, model, clip, _sampling(model, seed, size), _POINTS)
    (erased, stays), left_out = _names(edit), list[str]()
    for names in (erased, stays):
        left_out += [name for name in names if not _askable(models, name)]
    erased, stays = ([name for name in names if name not in left_out] for names in (erased, stays))
    if not erased:
        raise ScaPreError(
            f"auto_strength: the model cannot be asked about {some(left_out, _SHOWN)}, which are as long as the text "
            "encoder reads, or prompts that names are compared with. Turn it off, and set strength."
        )
    asked = Asked(models, erased, stays, _ASKED, [seed], progress)
    found = least_strength(asked, lambda value: models.edit(apply_edit(model, edit, value)), threshold, progress)
    return found.value, [*_told(found, threshold, asked.predictions), *_few(edit, left_out)]


def check_askable(model: Any, size: int) -> None:
    """Accepts a model that draws pictures by itself.

    Raises:
        ScaPreError: For another one.
    """
    try:
        empty_latent(model, _sampling(model, 0, size))
    except ScaPreError:
        raise ScaPreError(
            "auto_strength: this model draws no picture by itself (it makes sound, or is one stage of several), so it "
            "cannot be asked. Turn it off, and set strength."
        ) from None


def _sampling(model: Any, seed: int, size: int) -> Sampling:
    side = size or side_of(model)
    return Sampling(seed, _STEPS, _CFG, "euler", "normal", side, side)


def _askable(models: HostModels, name: str) -> bool:
    """Whether a name fits into every wording, and is none of the prompts that names are compared with."""
    alone = normalise(name) not in {normalise(wording.base) for wording in _ASKED}
    return alone and all(models.fits(wording.fill(name)) for wording in _ASKED)


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


def _few(edit: Edit, left_out: Sequence[str]) -> Iterator[str]:
    if len(edit.concepts) > MOST_NAMES:
        yield f"Asked of the {MOST_NAMES} names of which the projections keep most; Probe asks of all"
    if left_out:
        yield f"Not asked of {some(left_out, _SHOWN)}: too long, or a prompt that names are compared with"
