"""Inputs for the settings of a method, each of which leaves the preset's value alone unless it is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ...scapre.methods import Method
from ...scapre.methods.settings import Setting, declared

KEEP = "preset"
UNSET = -1

_SWITCH: Mapping[str, Any] = {"on": True, "off": False}
_ORDER = (str, float, int)  # workflows keep the values of inputs by their places: words first, then numbers


def setting_inputs(method: Method) -> list[io.Input]:
    """An input for every setting, hidden behind the node's advanced view."""
    settings = sorted(declared(method.settings), key=lambda setting: _ORDER.index(_kind(setting)))
    return [_input(setting) for setting in settings]


def _kind(setting: Setting) -> type:
    return str if isinstance(setting.default, bool) else type(setting.default)


def _input(setting: Setting) -> io.Input:
    common: dict[str, Any] = {"optional": True, "advanced": True}
    kind = _kind(setting)
    if kind is str:
        common["tooltip"] = f"{setting.about} preset: as the preset has it."
        return io.Combo.Input(setting.name, options=[KEEP, *(setting.choices or _SWITCH)], default=KEEP, **common)
    common |= {"default": UNSET, "min": UNSET, "tooltip": f"{setting.about} Below 0: as the preset has it."}
    if kind is int:
        return io.Int.Input(setting.name, max=int(setting.offered), **common)
    return io.Float.Input(setting.name, max=setting.offered, step=setting.step, round=1e-6, **common)


def settings_from(method: Method, preset: str, values: Mapping[str, Any]) -> Any:
    """The preset's settings with those replaced that the user has set.

    Raises:
        ScaPreError: For an unknown preset or a value outside its range.
    """
    chosen = {name: value for name, value in values.items() if value != KEEP and (isinstance(value, str) or value >= 0)}
    return method.choose(preset, {name: _SWITCH.get(value, value) for name, value in chosen.items()})
