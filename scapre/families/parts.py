"""Names of parts: where a model keeps several projections in one weight, one under the other, each has its own name.

`blocks.0.cross_attn.kv_linear.weight[1/2]` is the first half of that weight's rows, and `[2/2]` the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PART = re.compile(r"(.+)\[([1-9]\d?)/([1-9]\d?)\]")


@dataclass(frozen=True)
class Part:
    """Which rows of a weight a matrix is: the part with this index, of so many equally high ones."""

    weight: str
    index: int
    count: int

    def rows(self, height: int) -> slice:
        """Its rows in a weight of so many rows."""
        each = height // self.count
        return slice(self.index * each, (self.index + 1) * each)

    @property
    def name(self) -> str:
        """Its name; a weight that is a matrix of its own has none but that."""
        return self.weight if self.count == 1 else f"{self.weight}[{self.index + 1}/{self.count}]"


def part(name: str) -> Part:
    """What a matrix's name means."""
    found = _PART.fullmatch(name)
    return Part(found[1], int(found[2]) - 1, int(found[3])) if found else Part(name, 0, 1)


def by_weight(names: Iterable[str]) -> dict[str, list[Part]]:
    """Parts by the weight that they are in, in the order of their names."""
    found: dict[str, list[Part]] = {}
    for name in names:
        found.setdefault(part(name).weight, []).append(part(name))
    return found
