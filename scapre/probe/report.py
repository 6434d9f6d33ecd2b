"""What a probe found, as Markdown and as numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from ..report.markdown import Row as Line
from ..report.markdown import escape, table
from .scores import Probed, Role, Row, rows_of

_LEFT = (
    "How much of what a name adds to the model's prediction is left: 1 = untouched, 0 = gone, below 0 = turned round; "
    "over all wordings and seeds, and at each amount of noise (σ). most: the wording in which most is left."
)
_DRIFT = (
    "How far predictions moved, against what the name adds to them: 0 = untouched. most: where they moved farthest."
)
_RELATED = "The same for words that the text encoder answers like a name: they are asked for by themselves."
_ATTACKED = (
    "The same where the states of every prompt, with a name and without, are replaced by those that make the edited "
    "projections answer most as the original ones did (RECE's closed form). No typed prompt has such states; a trained "
    "embedding comes near."
)
_CAVEAT = (
    "These figures are of predictions at pictures of the original model. They tell what these wordings still ask for, "
    "and not what other words can."
)


_SECTIONS: Sequence[tuple[str, str, tuple[Role, ...]]] = (
    ("## What is left", _LEFT, ("erased",)),
    ("## Other words for them", _RELATED, ("related",)),
    ("## Called up by an attack", _ATTACKED, ("attacked",)),
    ("## Drift of what should stay", _DRIFT, ("stays", "empty")),
)


def render(probed: Probed, lines: Sequence[str] = ()) -> str:
    """Markdown: headings and tables that no name can break."""
    parts = ["# Probe", *map(escape, lines)]
    for heading, told, roles in _SECTIONS:
        rows = [row for role in roles for row in rows_of(probed, role)]
        if rows:
            parts += [heading, told, _table(probed, rows)]
    return "\n\n".join([*parts, "## Notes", f"* {_CAVEAT}"])


def _table(probed: Probed, rows: Sequence[Row]) -> str:
    lines: list[Line] = [((row.overall, *row.points), (row.name, _most(row))) for row in rows]
    return table(("all", *(f"σ {_short(sigma)}" for sigma in probed.sigmas)), ("name", "most"), lines)


def _most(row: Row) -> str:
    text, value = row.most
    return f"{value:.2f}: {text}" if text else "-"


def _short(sigma: float) -> str:
    return f"{sigma:.2g}"


def scores(probed: Probed) -> str:
    """The same as JSON: sigmas, and for each name its role and figures; null where there is none."""
    rows = [
        {
            "name": row.name,
            "role": row.role,
            _figure(row.role): _number(row.overall),
            "by_sigma": [_number(value) for value in row.points],
            "most": {"prompt": row.most[0], _figure(row.role): _number(row.most[1])},
        }
        for row in probed.rows
    ]
    found: dict[str, Any] = {"sigmas": [_number(sigma) for sigma in probed.sigmas], "names": rows}
    return json.dumps(found, ensure_ascii=False)


def _figure(role: Role) -> str:
    return "drift" if role in ("stays", "empty") else "left"


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
