"""Axes of the host's X/Y/Z plot. Each cell has its own copy of the processing, and there the change is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from modules import script_loading, scripts

from ..scapre.methods import closed_forms
from . import places
from .choices import NO_FILE

CHANGES = "scapre_changes"
_FILE = "xyz_grid.py"
_SIGN = "[ScaPre] "
_STATES = {"On": True, "Off": False}


def add_axes() -> None:
    """Adds the axes to the plot, where there is one and it has none of them yet."""
    for module in _modules():
        there = {option.label for option in module.axis_options}
        for option in _options(module.AxisOption):
            if option.label not in there:
                module.axis_options.append(option)


def changes_of(p: Any) -> dict[str, Any]:
    """What the cell that is drawn has in the place of the panel's values."""
    return dict(getattr(p, CHANGES, {}))


def _modules() -> Iterator[Any]:
    paths = {data.path: data.module for data in scripts.scripts_data}
    loaded = getattr(script_loading, "loaded_scripts", {})
    found = {id(module): module for path, module in {**paths, **loaded}.items() if str(path).endswith(_FILE)}
    yield from (module for module in found.values() if hasattr(module, "AxisOption"))


def _options(make: Any) -> Iterator[Any]:
    yield make(
        _SIGN + "On or off",
        str,
        _setter("enabled", lambda word: _STATES.get(word, word)),
        choices=lambda: list(_STATES),
    )
    yield make(_SIGN + "Strength", float, _setter("strength"))
    yield make(_SIGN + "Method", str, _setter("method"), choices=lambda: list(closed_forms()))
    yield make(_SIGN + "Concepts (name; name)", str, _setter("concepts", lambda text: text.replace(";", "\n")))
    yield make(_SIGN + "Edit file", str, _setter("file"), choices=lambda: [NO_FILE, *places.edit_files()])


def _setter(name: str, convert: Callable[[Any], Any] = lambda value: value) -> Callable[[Any, Any, Any], None]:
    def apply(p: Any, value: Any, values: Any) -> None:
        setattr(p, CHANGES, {**changes_of(p), name: convert(value)})

    return apply
