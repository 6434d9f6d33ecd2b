"""Edits in forms that other programs read. A new one is a module here and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..edits.edit import Edit
from ..families import Projections
from ..progress import Progress
from .diff import write_diff
from .factors import Rank
from .lora import write_lora
from .result import DTYPES, Exported, Options
from .whole import write_checkpoint

__all__ = ["DTYPES", "FORMATS", "Exported", "Options", "Rank"]


class Write(Protocol):
    """Writes an edit as a file of one format."""

    def __call__(self, edit: Edit, weights: Projections, path: Path, options: Options, progress: Progress) -> Exported:
        """Evaluates the edit on the weights, writes the file whole or not at all, and says what it holds.

        Raises:
            ScaPreError: If the edit does not fit the weights, or the file cannot be written.
            FileExistsError: If there is a file that may not be replaced.
        """
        ...


FORMATS: Mapping[str, Write] = {"lora": write_lora, "diff": write_diff, "checkpoint": write_checkpoint}
