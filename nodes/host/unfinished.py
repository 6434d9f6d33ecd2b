"""Keeps what was trained where a run is cancelled."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...scapre.edits.edit import Edit
from ...scapre.files import write_edit
from .folders import write_numbered

_PREFIX = "scapre/unfinished"


def keep(edit: Edit) -> str:
    """Writes an edit to the output folder, with all that training needs to go on; returns its name there."""
    path, _ = write_numbered(_PREFIX, lambda path: write_edit(edit, path, overwrite=False))
    return path.relative_to(Path(folder_paths.get_output_directory())).as_posix()
