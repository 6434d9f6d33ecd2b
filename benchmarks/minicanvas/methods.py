"""What can be evaluated: methods by name, presets, and edits in files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, get_args

from .inprocess import pack, read_edit
from .neurons import TURNED, WIDE, WORLD
from .questions import Sizes, without
from .tasks import Kind, Task, task_for
from .unlearning import ESD, LEARNED, LONG
from .world import ARTIST_NAMES, OBJECTS

FROM_FILE = "edit"
LISTED = "listed"
"""The share of what a task leaves that its user lists under preserve: "all", or "half", every second name."""
Settings: TypeAlias = Mapping[str, str | float | bool]


def _neurons(**more: str | float | bool) -> dict[str, Settings]:
    """Inputs of Erase Neurons for every kind of task, as released but for `WORLD`; those of others stand in `more`."""
    presets = {kind: "style" if kind == "style" else "object" for kind in get_args(Kind)}
    return {kind: {**more, **WORLD, "neurons.preset": preset} for kind, preset in presets.items()}


def _learned(more: Settings | None = None) -> dict[str, Settings]:
    """Inputs of Unlearn Concepts, the same for every kind of task: the preset for styles, and what this world needs."""
    return {kind: {**LEARNED, **(more or {})} for kind in get_args(Kind)}


METHODS: dict[str, dict[str, Settings]] = {
    "none": {},
    **{
        name: {kind: {"method": name} for kind in get_args(Kind)}
        for name in ("auto", "uce", "rece", "speed", "oce", "dp")
    },
    "auto-listed": {kind: {"method": "auto", LISTED: "all"} for kind in get_args(Kind)},
    "auto-half-listed": {kind: {"method": "auto", LISTED: "half"} for kind in get_args(Kind)},
    "auto-words": {kind: {"method": "auto", "pooled": "off"} for kind in get_args(Kind)},
    "fia-wide": {kind: {**inputs, **WIDE} for kind, inputs in _neurons().items()},
    "fia-turned": {kind: {**inputs, **TURNED} for kind, inputs in _neurons().items()},
    "auto-without-search": {kind: {"method": "auto", "search": False} for kind in get_args(Kind)},
    "fia": _neurons(),
    "auto-fia": _neurons(**{"concepts.method": "auto"}),
    "kscu": _learned(),
    "kscu-paper": _learned({"unlearn.hold": 0}),
    "kscu-long": _learned(LONG),
    "esd": _learned(ESD),
    "esd-long": _learned({**ESD, **LONG}),
    "auto-kscu": _learned({"concepts.method": "auto", "unlearn.iterations": 50}),
    "adavd": {kind: {"sampling.gate": "on"} for kind in get_args(Kind)},
    "adavd-ungated": {kind: {"sampling.gate": "off"} for kind in get_args(Kind)},
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
"""The inputs of the nodes that erase for every kind of task; no inputs, no edit. Presets are as released; other methods
are given nothing but the names. `fia-wide` cuts up to a fifth of the weights, `fia-turned` turns a twentieth round."""


def methods(names: Sequence[str]) -> dict[str, dict[str, Settings]]:
    """Return the settings of methods by name; a preset's name means that preset for every task.

    A name may end with @ and a strength from 0 to 2, as in `auto@0.5`.

    Raises:
        ValueError: there is no such method, preset or strength.
    """
    methods = pack("scapre.methods")
    presets = methods.METHODS[methods.FIRST].presets
    found = {}
    for name in names:
        base, at, strength = name.partition("@")
        preset: dict[str, Settings] = {kind: {"preset": base} for kind in get_args(Kind)}
        if base not in METHODS and base not in presets:
            raise ValueError(f"there is no method {base}; there are {', '.join([*METHODS, *presets])}")
        if at and not re.fullmatch(r"[01](\.\d+)?|2", strength):
            raise ValueError(f"{name}: a strength is a number from 0 to 2")
        inputs = METHODS.get(base, preset)
        found[name] = {kind: {**inputs[kind], "strength": float(strength)} for kind in inputs} if at else inputs
    return found


def listed(task: Task, inputs: Settings) -> tuple[str, ...]:
    """Return the names that are preserved: the task's own, and those that the method's user lists."""
    left = without([*ARTIST_NAMES, *OBJECTS], [*task.concepts, *task.preserve])
    share = {"all": left, "half": left[::2]}.get(str(inputs.get(LISTED)), [])
    return (*task.preserve, *share)


def from_file(file: Path, sizes: Sizes) -> tuple[dict[str, Settings], Task]:
    """Return the settings and the task of an edit in a file.

    Raises:
        ValueError: it is no edit, or erases what is not in this world.
    """
    concepts = [concept.text for concept in read_edit(file).concepts]
    task = task_for(file.stem, concepts, sizes)
    return {task.kind: {FROM_FILE: str(file)}}, task
