"""Inputs for the settings of a method, each of which leaves the preset's value alone unless it is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from typing import Any

from comfy_api.latest import io

from ...scapre.errors import ScaPreError
from ...scapre.methods import Method, closed_forms
from ...scapre.methods.settings import Setting, declared

KEEP = "preset"
UNSET = -1
METHODS_OF, PRESETS_OF = "scapre_methods", "scapre_presets"
"""What the page finds beside an input: the methods that have it, and the presets of each method."""

_SWITCH: Mapping[str, Any] = {"on": True, "off": False}
_ORDER = (str, float, int)  # workflows keep the values of inputs by their places: choices first, then numbers


def setting_inputs(methods: Mapping[str, Method], first: str) -> list[io.Input]:
    """An input for every setting of any method, hidden behind the node's advanced view.

    Those of the method `first` stand before all others, whose inputs came later. Settings of one name share an input.

    Raises:
        ValueError: If two settings of one name cannot.
    """
    found: dict[str, Setting] = {}
    for name in (first, *(name for name in methods if name != first)):
        for setting in sorted(declared(methods[name].settings), key=lambda setting: _ORDER.index(_kind(setting))):
            found[setting.name] = _shared(found[setting.name], setting) if setting.name in found else setting
    having = {
        setting: [
            name for name, solver in methods.items() if setting in {own.name for own in declared(solver.settings)}
        ]
        for setting in found
    }
    return [
        _input(setting, having[setting.name]) for setting in sorted(found.values(), key=_is_text)
    ]  # texts came last


def _shared(one: Setting, other: Setting) -> Setting:
    if (_kind(one), one.choices) != (_kind(other), other.choices):
        raise ValueError(f"two methods have a setting {one.name}, of different types")
    return replace(one, offered=max(one.offered, other.offered), step=min(one.step, other.step))


def _is_text(setting: Setting) -> bool:
    return isinstance(setting.default, str) and not setting.choices


def _kind(setting: Setting) -> type:
    return str if isinstance(setting.default, bool) else type(setting.default)


def _input(setting: Setting, methods: list[str]) -> io.Input:
    common: dict[str, Any] = {"optional": True, "advanced": True, "extra_dict": {METHODS_OF: methods}}
    kind = _kind(setting)
    if _is_text(setting):
        return io.String.Input(setting.name, default="", dynamic_prompts=False, tooltip=setting.about, **common)
    if kind is str:
        common["tooltip"] = f"{setting.about} preset: as the preset has it."
        return io.Combo.Input(setting.name, options=[KEEP, *(setting.choices or _SWITCH)], default=KEEP, **common)
    common |= {"default": UNSET, "min": UNSET, "tooltip": f"{setting.about} Below 0: as the preset has it."}
    if kind is int:
        return io.Int.Input(setting.name, max=int(setting.offered), **common)
    return io.Float.Input(setting.name, max=setting.offered, step=setting.step, round=1e-6, **common)


def check_whole(node: type[io.ComfyNode], **given: Any) -> None:
    """Accepts whole numbers in the range that a node's inputs declare; the host does so for what is typed, not linked.

    Args:
        node: That has the inputs.
        given: Their values, by name.

    Raises:
        ScaPreError: If one is none, or outside its range.
    """
    inputs: dict[str, Any] = {one.id: one for one in node.define_schema().inputs}
    for name, value in given.items():
        least, most = inputs[name].min, inputs[name].max
        if not isinstance(value, Integral) or not least <= int(value) <= most:
            raise ScaPreError(f"{name}: {value!r:.40} is no whole number from {least} to {most}. Give one.")


def settings_from(method: Method, preset: str, values: Mapping[str, Any]) -> tuple[str, Any]:
    """A preset's name and its settings, with those replaced that the user has set; other methods' are left alone.

    Args:
        method: Whose settings.
        preset: One of its own; a preset of another method is as none, and its first one is taken.
        values: Of the inputs, by name.

    Raises:
        ScaPreError: For an unknown preset or a value outside its range.
    """
    own = {setting.name for setting in declared(method.settings)}
    kept = (KEEP, "")
    chosen = {
        key: value for key, value in values.items() if value not in kept and (isinstance(value, str) or value >= 0)
    }
    known = any(preset in other.presets for other in closed_forms().values())
    taken = next(iter(method.presets)) if known and preset not in method.presets else preset
    return taken, method.choose(taken, {key: _SWITCH.get(value, value) for key, value in chosen.items() if key in own})
