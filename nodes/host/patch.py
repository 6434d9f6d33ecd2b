"""An edit as a patch of the host's MODEL."""

from __future__ import annotations

from typing import Any

import torch
from comfy.patcher_extension import CallbacksMP

from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError, shorten
from ...scapre.families import having, part
from .adapter import Copies, EditPatch
from .carried import HOOKED, ITSELF, MERGED, carried
from .projections import HostProjections

_TWICE = {
    ITSELF: "the model already carries this edit, and would get it twice. Connect the model that goes into Erase "
    "Concepts; for a stronger edit, raise strength.",
    MERGED: "the model carries this edit inside a merge, and would get it again on top of that share. Merge the models "
    "without the edit, and apply it after that.",
    HOOKED: "the model carries this edit in a hook, and would get it twice while the hook is applied. Leave one out.",
}


def apply_edit(model: Any, edit: Edit, strength: float) -> Any:
    """A clone of the model with the edit as a patch; the model itself at strength 0.

    Raises:
        ScaPreError: If the edit was made for another architecture or is on the model already, or a weight is quantised.
    """
    _check_match(HostProjections(model), edit)
    if not strength:
        return model
    there = next((held.where for held in carried(model) if held.edit.same_as(edit)), None)
    if there:
        raise ScaPreError(f"edit: {_TWICE[there]}")
    copies = Copies(edit)
    patches = {
        _key(name, rows): EditPatch(set(), (torch.zeros(1), copies, name)) for name, (rows, _) in edit.shapes.items()
    }
    clone = model.clone()
    missed = set(patches) - set(clone.add_patches(patches, strength))
    if missed:
        first = shorten(min(map(str, missed)))
        raise ScaPreError(f"model: {first} could not be patched. Restart the host and try again.")
    for event in (CallbacksMP.ON_LOAD, CallbacksMP.ON_CLEANUP):
        clone.add_callback_with_key(event, "scapre", copies.drop)
    return clone


def _key(name: str, rows: int) -> str | tuple[str, tuple[int, int, int]]:
    """What the host calls a matrix: the weight, or some of its rows (dimension, first, how many)."""
    which = part(name)
    return name if which.count == 1 else (which.weight, (0, which.index * rows, rows))


def carried_edits(model: Any) -> list[Edit]:
    """The edits that a model carries, also inside merges and hooks."""
    return [held.edit for held in carried(model)]


def _check_match(projections: HostProjections, edit: Edit) -> None:
    names = having(projections, edit.roles)
    here, there = projections.shapes(names), dict(edit.shapes)
    if here != there or edit.family != projections.family:
        raise ScaPreError(
            f"edit: it was made for a {edit.family} model with {len(there)} matrices to change, and this "
            f"{projections.family} model has {len(here)}, or others. Make the edit again on this model."
        )
