"""An edit with its parts: the same for matrices that read something else of a text than its tokens' states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import shorten
from ..states.further import is_layer, title
from .edit import Edit, without_states


def with_further(edit: Edit, parts: Mapping[str, Edit]) -> Edit:
    """An edit with its parts for matrices that read something else of a text, and what to say of them.

    The states of layers are left out: of all layers together they would be many times what they belong to.
    """
    kept = {name: without_states(part) if is_layer(name) else part for name, part in parts.items()}
    kinds: dict[str, dict[str, Edit]] = {}
    for name, part in parts.items():
        kinds.setdefault(title(name), {})[name] = part
    seconds = {kind: sum(part.report.total_seconds for part in some.values()) for kind, some in kinds.items()}
    notes = [f"{kind}: {said}" for kind, some in kinds.items() for said in (_erased_there(some), *_told(some))]
    report = replace(edit.report, seconds={**edit.report.seconds, **seconds}, notes=(*edit.report.notes, *notes))
    return replace(edit, further={**edit.further, **kept}, report=report)


def _erased_there(parts: Mapping[str, Edit]) -> str:
    """The figures that are farthest from what is wanted, and whose they are."""
    left = max((abs(share), text, name) for name, part in parts.items() for text, share in part.report.kept.items())
    moved = max((share, text, name) for name, part in parts.items() for text, share in part.report.drift.items())
    count = sum(len(part.shapes) for part in parts.values())
    return (
        f"erased there, too ({count} matrices); at most {left[0]:.0%} of a name's answer is left{_whose(left)}, and "
        f"what stays moves by at most {moved[0]:.0%}{_whose(moved)}"
    )


def _whose(figure: tuple[float, str, str]) -> str:
    _, text, name = figure
    return f" ({shorten(text) if text else 'the empty prompt'}, {name})" if is_layer(name) else ""


def _told(parts: Mapping[str, Edit]) -> list[str]:
    """What the parts themselves have to say, each thing once."""
    found: dict[str, list[str]] = {}
    for part in parts.values():
        for note in part.report.notes:
            found.setdefault(note.partition(":")[0], []).append(note)
    return [notes[0] + (f" (so in {len(notes)} of {len(parts)})" if len(parts) > 1 else "") for notes in found.values()]
