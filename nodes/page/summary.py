"""What the nodes say about an edit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from comfy_api.latest import io

from ...scapre.concepts.names import is_hidden
from ...scapre.edits.edit import Edit
from ...scapre.report.data import ReportData, report_data
from ...scapre.report.markdown import render
from ..host.patch import apply_edit, beside_notes
from ..host.progress import HostProgress

# For the schemas of nodes that show a report: the page gets it again where a run takes it from the cache, as after a
# reload. Older hosts do not know the word.
_WORD = "has_intermediate_output"
SHOWN_AGAIN: dict[str, Any] = {_WORD: True} if any(field.name == _WORD for field in fields(io.Schema)) else {}


def summary(edit: Edit) -> str:
    """An edit in one line."""
    plural = "" if len(edit.concepts) == 1 else "s"
    return f"Erased {len(edit.concepts)} concept{plural} from {edit.family} ({len(edit.matrices)} matrices)"


def report(edit: Edit, lines: Sequence[str]) -> ReportData:
    """The report of an edit, with what a node has to add."""
    hidden = any(is_hidden(name) for concept in edit.concepts for name in (concept.text, concept.anchor))
    private = ["Some names are hidden and shown as numbers"] if hidden else []
    return report_data(edit, summary(edit), [*lines, *private])


def show(*outputs: Any, data: ReportData) -> io.NodeOutput:
    """A node's outputs with its report: as Markdown for the last socket, and as JSON for the page.

    It is JSON in a text because the host counts every table that a node shows among the files that a run has made.
    """
    return io.NodeOutput(*outputs, render(data), ui={"scapre_report": [json.dumps(data, allow_nan=False)]})


def solved(
    model: Any, edit: Edit, strength: float, how: str, progress: HostProgress, told: Sequence[str] = ()
) -> io.NodeOutput:
    """What a node gives that has made an edit: the model with it, the edit, and its report, also on the page."""
    progress.say(f"Done in {edit.report.total_seconds:.1f} s")
    edited = apply_edit(model, edit, strength)
    lines = [f"{how}, strength {strength:g}", *told, *beside_notes(edited)]
    return show(edited, edit, data=report(edit, lines))


def other_weights(share: float) -> str:
    """What to know when an edit meets weights that it was not solved from."""
    return (
        f"These weights differ by about {share:.2%} from those that the edit was solved from: another checkpoint, or a "
        "LoRA or another edit before this node. The edit is applied; for an exact one, solve it again on this model "
        "with Merge Edits."
    )
