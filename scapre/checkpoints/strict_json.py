"""JSON from strangers: tables that say everything once, and nothing that JSON cannot hold."""

from __future__ import annotations

import json
from typing import Any


def strict_json(data: bytes | str) -> dict[str, Any]:
    """A JSON table without repeated names, NaN, infinity and broken characters.

    Raises:
        ValueError: If it is something else.
    """
    try:
        table = json.loads(data, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("tables in tables without end") from None
    if not isinstance(table, dict):
        raise ValueError("not a table")
    return table


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    "".join(found).encode()  # half a surrogate pair, which JSON can escape, could be shown nowhere
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
