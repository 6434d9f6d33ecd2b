"""Lists of names that this host offers."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...scapre.concepts.lists import Lists


def lists() -> Lists:
    """Those that are bundled, and those in the host's input folder."""
    return Lists(Path(folder_paths.get_input_directory()), "ComfyUI's input folder", "Refresh the node (key R)")
