"""What the nodes say about an edit."""

from __future__ import annotations

from collections.abc import Sequence

from ..scapre.concepts import is_hidden
from ..scapre.edit import Edit
from ..scapre.report import render


def summary(edit: Edit) -> str:
    """An edit in one line."""
    plural = "" if len(edit.concepts) == 1 else "s"
    return f"Erased {len(edit.concepts)} concept{plural} from {edit.family} ({len(edit.matrices)} matrices)"


def report(edit: Edit, lines: Sequence[str]) -> str:
    """The report of an edit, with what a node has to add."""
    hidden = any(is_hidden(name) for concept in edit.concepts for name in (concept.text, concept.anchor))
    private = ["Some names are hidden and shown as numbers"] if hidden else []
    return render(edit.report, summary(edit), [*lines, *private])


def other_weights(share: float) -> str:
    """What to know when an edit meets weights that it was not solved from."""
    return (
        f"These weights differ by about {share:.2%} from those that the edit was solved from: another checkpoint, or a "
        "LoRA or another edit before this node. The edit is applied; for an exact one, solve it again on this model "
        "with Merge Edits."
    )
