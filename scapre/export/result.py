"""What a user chooses about an exported file, and what they are told about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from .factors import Rank

DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Options:
    """How a file is written.

    Attributes:
        rank: Of a LoRA's factors.
        dtype: A key of `DTYPES`, for the values of a LoRA or a difference; empty takes the format's own.
        names: Whether the file's metadata say which concepts it erases.
        overwrite: Whether a file that is there may be replaced.
    """

    rank: Rank = field(default_factory=Rank)
    dtype: str = ""
    names: bool = True
    overwrite: bool = False

    def stored(self, usual: str) -> torch.dtype:
        """The dtype to store values in.

        Raises:
            ScaPreError: If there is none of this name.
        """
        name = self.dtype or usual
        if name not in DTYPES:
            raise ScaPreError(f"dtype: {shorten(name)} is unknown. Choose one of {', '.join(DTYPES)}.")
        return DTYPES[name]


class Residual:
    """How far the stored values are from the change they stand for."""

    def __init__(self) -> None:
        """Starts with no matrix."""
        self.matrices: dict[str, float] = {}
        self._missing = self._whole = 0.0

    def add(self, name: str, wanted: Tensor, stored: Tensor) -> None:
        """Compares a change with what the file gives; both (n, d).

        Raises:
            ScaPreError: If the stored values are not finite.
        """
        missing, whole = (wanted.double() - stored.double()).norm().item(), wanted.norm().double().item()
        if not missing < float("inf"):
            raise ScaPreError(f"dtype: the change of {name} is too large to be stored in it. Choose fp32 or bf16.")
        self._missing += missing**2
        self._whole += whole**2
        self.matrices[name] = missing / whole if whole else 0.0

    @property
    def overall(self) -> float:
        """‖stored - change‖ / ‖change‖ over all matrices."""
        return (self._missing / self._whole) ** 0.5 if self._whole else 0.0


@dataclass(frozen=True)
class Exported:
    """What an exported file holds.

    Attributes:
        title: Kind of file and family.
        residual: ‖stored - change‖ / ‖change‖ over all matrices, after rounding to the stored dtype.
        residuals: The same by matrix.
        ranks: What each matrix's factors need; empty where there are none.
        size: Bytes of the values.
        notes: What the user should know.
        rank: What the file gives all matrices, the greatest of `ranks`; 0 where there are no factors.
    """

    title: str
    residual: float
    residuals: Mapping[str, float]
    ranks: Mapping[str, int]
    size: int
    notes: tuple[str, ...] = ()
    rank: int = 0

    def render(self, place: str) -> str:
        """A plain text for a node or a terminal."""
        worst = max(self.residuals, key=self.residuals.__getitem__)
        lines = [f"{self.title}: {place}", f"{len(self.residuals)} matrices, {self.size / 1e6:.1f} MB"]
        if self.ranks:
            lines[1] += f", rank {self.rank} for all (they need ranks {min(self.ranks.values())} to {self.rank})"
        lines += [
            f"Residual (share of the edit that the file does not give): {self.residual:.2g} over all matrices, "
            f"at most {self.residuals[worst]:.2g}, in {worst}"
        ]
        lines += [f"Note: {note}" for note in self.notes]
        rows = (f"  {self.ranks.get(name, ''):>4}  {value:8.2g}  {name}" for name, value in self.residuals.items())
        return "\n".join([*lines, "", "Rank needed, residual and name of each matrix", *rows])
