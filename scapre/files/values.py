"""A table from strangers: values that are believed only where they have the type and range they should."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..concepts.names import MAX_CHARACTERS


def has(table: Mapping[str, Any], names: Iterable[str]) -> None:
    """Accepts a table that has these names and no other.

    Raises:
        ValueError: If one is missing, or unknown.
    """
    if set(table) != set(names):
        raise ValueError(f"{sorted(set(table) ^ set(names))[0]} is missing, or unknown")


def text(value: Any) -> str:
    """The value itself, a text that UTF-8 can hold.

    Raises:
        TypeError, ValueError: If it is something else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]} is not a text")
    value.encode()
    return value


def word(value: Any) -> str:
    """The value itself, a short text in one line.

    Raises:
        TypeError, ValueError: If it is something else.
    """
    found = text(value)
    if not found.isprintable() or not 0 < len(found) <= MAX_CHARACTERS:
        raise ValueError("a word is empty, too long, or not to be shown")
    return found


def count(value: Any, least: int, most: int) -> int:
    """The value itself, a whole number of that range.

    Raises:
        ValueError: If it is something else.
    """
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{str(value)[:40]} is not a whole number from {least} to {most}")
    return value


def number(value: Any) -> float:
    """The value as a float, if it is a finite number.

    Raises:
        ValueError: If it is something else.
    """
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]} is not a number")
    return float(value)


def shape(rows: Any, columns: Any) -> tuple[int, int]:
    """The shape of a matrix.

    Raises:
        ValueError: If the sides are no sizes.
    """
    return count(rows, 1, 2**31), count(columns, 1, 2**31)
