"""Whether a training can go on from an edit."""

from __future__ import annotations

from typing import Any

from ...scapre.concepts.names import is_hidden
from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError
from ...scapre.methods.kscu.train import UNSAVED
from .projections import HostProjections

_FREE = ("iterations", "learning_rate", "checkpointing")  # settings that may change where a run goes on


def check_resumed(edit: Edit, request: Any, projections: HostProjections) -> None:
    """Accepts an edit that this training can go on from.

    Raises:
        ScaPreError: If it is of another method, list, seed, model, or of other settings than may change.
    """
    if edit.method != request.method:
        raise ScaPreError(
            f"resume: it was made with the method {edit.solver.title}. Connect an edit of Unlearn Concepts."
        )
    if "latents" not in edit.payload.shared:
        raise ScaPreError(UNSAVED)
    if any(is_hidden(concept.text) for concept in edit.concepts):
        raise ScaPreError(
            "resume: this file hides its names (include_names off), so it cannot be told whether they are the same. "
            "Connect the edit with its names, or train from the beginning."
        )
    its, ours = ([(c.text, c.anchor) for c in one] for one in (edit.concepts, request.concepts.concepts))
    if (its, edit.preserve) != (ours, request.preserve):
        raise ScaPreError("resume: it was trained for other names. Give the same ones, in the same order.")
    if edit.seed != request.seed:
        raise ScaPreError(f"resume: it was trained with the seed {edit.seed}. Give the same one.")
    was, now = ({**vars(one), **dict.fromkeys(_FREE)} for one in (edit.settings, request.settings))
    other = sorted(key for key in now if now[key] != was[key])
    if other:
        told = ", ".join(f"{key} {was[key]}" for key in other)
        raise ScaPreError(f"resume: it was trained with {told}. Give the same.")
    apart = edit.difference(projections.samples(edit.shapes))
    if apart:
        raise ScaPreError(
            f"resume: it was trained on other weights than these (they differ by {apart:.2%}). Connect that model, "
            "without the edit itself."
        )
    done = int(edit.payload.shared["done"])
    if done >= request.settings.iterations:
        raise ScaPreError(f"resume: it has {done:,} iterations already. Raise iterations above that.")
