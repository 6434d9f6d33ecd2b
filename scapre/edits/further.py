"""An edit with its parts: the same for matrices that read something else of a text than its tokens' states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..states.further import POOLED, is_layer
from .edit import Edit, without_states


def with_further(edit: Edit, parts: Mapping[str, Edit]) -> Edit:
    """An edit with its parts for matrices that read something else of a text, and what to say of them.

    The states of layers are left out: of all layers together they would be many times what they belong to.
    """
    kept = {name: without_states(part) if is_layer(name) else part for name, part in parts.items()}
    groups = {
        "pooled vector": [part for name, part in parts.items() if name == POOLED],
        "layers of the language model": [part for name, part in parts.items() if is_layer(name)],
    }
    there = {title: some for title, some in groups.items() if some}
    seconds = {title: sum(part.report.total_seconds for part in some) for title, some in there.items()}
    notes = [f"{title}: {_erased_there(some)}" for title, some in there.items()]
    report = replace(edit.report, seconds={**edit.report.seconds, **seconds}, notes=(*edit.report.notes, *notes))
    return replace(edit, further=kept, report=report)


def _erased_there(parts: Sequence[Edit]) -> str:
    left = max(abs(share) for part in parts for share in part.report.kept.values())
    moved = max(share for part in parts for share in part.report.drift.values())
    count = sum(len(part.shapes) for part in parts)
    return (
        f"erased there, too ({count} matrices); at most {left:.0%} of a name's answer is left, and what stays moves by "
        f"at most {moved:.0%}"
    )
