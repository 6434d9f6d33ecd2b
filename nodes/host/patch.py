"""An edit as a patch of the host's MODEL."""

from __future__ import annotations

import math
from typing import Any

from comfy.patcher_extension import CallbacksMP

from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError, shorten
from ...scapre.families import having, part
from .adapter import Copies, Offset, offset_of
from .carried import HOOKED, ITSELF, MERGED, carried
from .chain import beside
from .injection import stand_beside
from .projections import HostProjections
from .while_sampling import edits_while_sampling

SAMPLED = "while sampling"
_TWICE = {
    ITSELF: "the model already carries this edit, and would get it twice. Connect the model that it was made from, "
    "before the node that erases; for a stronger edit, raise strength.",
    MERGED: "the model carries this edit inside a merge, and would get it again on top of that share. Merge the models "
    "without the edit, and apply it after that.",
    SAMPLED: "the model applies this edit while it is sampled, and would get it twice. Leave one of the nodes out.",
    HOOKED: "the model carries this edit in a hook, and would get it twice while the hook is applied. Leave one out.",
}


def check_strength(strength: float) -> None:
    """Accepts a strength.

    Raises:
        ScaPreError: If it is no number.
    """
    if not math.isfinite(strength):
        raise ScaPreError(f"strength: {strength} is no number. Give one, such as 1.")


def apply_edit(model: Any, edit: Edit, strength: float) -> Any:
    """A clone of the model with the edit; the model itself at strength 0.

    It is a patch of each weight, and stands beside the layers of those that are quantised.

    Raises:
        ScaPreError: If the edit was made for another architecture or is on the model already, or a weight does not give
            its values, or the strength is no number.
    """
    check_strength(strength)
    projections = HostProjections(model)
    _check_match(projections, edit)
    if not strength:
        return model
    _check_new(model, edit)
    if any(other.same_as(edit) for other in edits_while_sampling(model)):
        raise ScaPreError(f"edit: {_TWICE[SAMPLED]}")
    copies, quantised = Copies(edit), projections.quantised(edit.matrices)
    patches = {_key(name, edit): copies.patch(name) for name in edit.matrices if name not in quantised}
    clone = model.clone()
    missed = set(patches) - set(clone.add_patches(patches, strength))
    if missed:
        first = shorten(min(map(str, missed)))
        raise ScaPreError(f"model: {first} could not be patched. Restart the host and try again.")
    for event in (CallbacksMP.ON_LOAD, CallbacksMP.ON_CLEANUP):
        clone.add_callback_with_key(event, "scapre", copies.drop)
    if quantised:
        stand_beside(clone, copies, strength, quantised)
    return clone


def check_edit(model: Any, projections: HostProjections, edit: Edit) -> None:
    """Accepts an edit that was made for a model's architecture and is not on it.

    Raises:
        ScaPreError: Otherwise.
    """
    _check_match(projections, edit)
    _check_new(model, edit)


def _check_new(model: Any, edit: Edit) -> None:
    there = next((held.where for held in carried(model) if held.edit.same_as(edit)), None)
    if there:
        raise ScaPreError(f"edit: {_TWICE[there]}")


def _key(name: str, edit: Edit) -> str | tuple[str, Offset]:
    """What the host calls a matrix: the weight, or some of its rows."""
    offset = offset_of(name, edit)
    return part(name).weight if offset is None else (part(name).weight, offset)


def beside_notes(model: Any) -> tuple[str, ...]:
    """What to know of a model with edits that are no patches."""
    names = {name for edit in beside(model) for name in edit.places}
    if not names:
        return ()
    return (
        f"{len(names)} of these weights are quantised. The edit stands beside their layers, where nothing rounds it; "
        "Save Checkpoint, and a model that this one is merged into, leave it out. Save Edit keeps it",
    )


def carried_edits(model: Any) -> list[Edit]:
    """The edits that a model carries, also inside merges and hooks."""
    return [held.edit for held in carried(model)]


def _check_match(projections: HostProjections, edit: Edit) -> None:
    names = having(projections, edit.roles)
    here, there = projections.shapes(names), dict(edit.matrices)
    if here != there or edit.family != projections.family:
        raise ScaPreError(
            f"edit: it was made for {edit.family} models with {len(there)} matrices to change, and this "
            f"{projections.family} model has {len(here)}, or others. Make the edit again on this model."
        )
