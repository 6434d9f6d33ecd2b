"""What can be evaluated: methods by name, presets, and edits in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, get_args

from .inprocess import pack, read_edit
from .questions import Sizes
from .tasks import Kind, Task, task_for

FROM_FILE = "edit"
Settings: TypeAlias = Mapping[str, str]

METHODS: dict[str, dict[str, Settings]] = {
    "none": {},
    **{
        name: {kind: {"method": name} for kind in get_args(Kind)}
        for name in ("auto", "uce", "rece", "speed", "oce", "dp")
    },
    "precise": {
        "style": {"preset": "styles", "anchor": "art"},
        "object": {"preset": "objects-few"},
        "confusable": {"preset": "confusable"},
        "mixed": {"preset": "objects-few"},
    },
    "scale": {
        "style": {"preset": "confusable-many", "anchor": "art"},
        "object": {"preset": "objects-many"},
        "confusable": {"preset": "confusable-many"},
        "mixed": {"preset": "objects-many"},
    },
}
"""The inputs of Erase Concepts for every kind of task; no inputs, no edit. Presets are as released; other methods are
given nothing but the names."""


def methods(names: Sequence[str]) -> dict[str, dict[str, Settings]]:
    """Return the settings of methods by name; a preset's name means that preset for every task.

    Raises:
        ValueError: there is no such method or preset.
    """
    methods = pack("scapre.methods")
    presets = methods.METHODS[methods.FIRST].presets
    found = {}
    for name in names:
        preset = {kind: {"preset": name} for kind in get_args(Kind)}
        if name not in METHODS and name not in presets:
            raise ValueError(f"there is no method {name}; there are {', '.join([*METHODS, *presets])}")
        found[name] = METHODS.get(name, preset)
    return found


def from_file(file: Path, sizes: Sizes) -> tuple[dict[str, Settings], Task]:
    """Return the settings and the task of an edit in a file.

    Raises:
        ValueError: it is no edit, or erases what is not in this world.
    """
    concepts = [concept.text for concept in read_edit(file).concepts]
    task = task_for(file.stem, concepts, sizes)
    return {task.kind: {FROM_FILE: str(file)}}, task
