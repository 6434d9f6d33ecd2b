"""Names of parts: where a model keeps several projections in one weight, each has its own name.

`blocks.0.cross_attn.kv_linear.weight[1/2]` is the first half of that weight's rows, and `[2/2]` the second;
`label_emb.0.0.weight[:1280]` is the first 1,280 of its columns, where the others read no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from ..errors import ScaPreError

_ROWS = re.compile(r"(.+)\[([1-9]\d?)/([1-9]\d?)\]")
_COLUMNS = re.compile(r"(.+)\[:([1-9]\d{0,5})\]")


@dataclass(frozen=True)
class Part:
    """Which rows or columns of a weight a matrix is.

    Attributes:
        weight: Name of the weight.
        index: Of the part, of `count` equally high ones.
        count: 1 for all rows.
        columns: How many columns it is, from the first; 0 for all.
    """

    weight: str
    index: int = 0
    count: int = 1
    columns: int = 0

    @property
    def whole(self) -> bool:
        """Whether it is the weight itself."""
        return self.count == 1 and not self.columns

    def place(self, rows: int) -> tuple[int, int, int]:
        """The dimension it is cut in, where it begins and how long it is, in a weight of so many rows."""
        if self.columns:
            return 1, 0, self.columns
        return 0, self.index * (rows // self.count), rows // self.count

    def of(self, weight: Tensor) -> Tensor:
        """It as a view of its weight, (n, d).

        Raises:
            ScaPreError: If the weight cannot be cut so.
        """
        if len(weight) % self.count or weight.shape[-1] < self.columns:
            raise ScaPreError(
                f"model: {self.weight} has the shape {tuple(weight.shape)}, which {self.name} is no part of. The file "
                "is damaged; get it again."
            )
        return weight.narrow(*self.place(len(weight))) if not self.whole else weight

    def shape(self, rows: int, *rest: int) -> tuple[int, ...]:
        """Its shape in a weight of a shape."""
        return (rows // self.count, self.columns) if self.columns else (rows // self.count, *rest)

    @property
    def name(self) -> str:
        """Its name; a weight that is a matrix of its own has none but that."""
        if self.columns:
            return f"{self.weight}[:{self.columns}]"
        return self.weight if self.count == 1 else f"{self.weight}[{self.index + 1}/{self.count}]"


def part(name: str) -> Part:
    """What a matrix's name means."""
    if found := _ROWS.fullmatch(name):
        return Part(found[1], int(found[2]) - 1, int(found[3]))
    if found := _COLUMNS.fullmatch(name):
        return Part(found[1], columns=int(found[2]))
    return Part(name)


def by_weight(names: Iterable[str]) -> dict[str, list[Part]]:
    """Parts by the weight that they are in, in the order of their names."""
    found: dict[str, list[Part]] = {}
    for name in names:
        found.setdefault(part(name).weight, []).append(part(name))
    return found
