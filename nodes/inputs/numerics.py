"""The advanced inputs: every number of the method, each of which leaves the preset's value alone unless it is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ...scapre.methods.scapre.settings import Settings, preset_settings

KEEP = "preset"
UNSET = -1

_CHOICES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "variant": (("precise", "scale"), "precise: few or confusable concepts. scale: many concepts."),
    "informax": (("on", "off"), "Gates each row by what it tells about the concept."),
    "residual": (("on", "off"), "precise: also remove the weak directions that the concepts share."),
    "spectral": (("on", "off"), "scale: hold back weak directions of the concepts (spectral regulariser)."),
    "row_valve": (("on", "off"), "scale: keep length and direction of rows that matter to everything."),
    "technique": (
        ("replace", "tensor"),
        "replace: the concept answers like its anchor. tensor: what the two have in common is removed as well.",
    ),
}
_NUMBERS: Mapping[str, tuple[float, float, str]] = {
    "ridge": (100, 0.01, "λ, the weight of the original model; smaller erases harder."),
    "erase_scale": (100, 0.1, "s, the weight of the concepts against the original model."),
    "gate_power": (20, 0.1, "p, how sharply rows are told apart by the gate."),
    "gate_temperature": (10, 0.01, "How softly rows are told apart by the gate."),
    "noise": (1, 0.001, "σ of the samples drawn around each concept."),
    "alpha_min": (1, 0.01, "precise: the least share of the edit that a row takes; 1 gives every row all of it."),
    "spectral_temperature": (
        10,
        0.01,
        "For residual and spectral: how softly strong and weak directions are told apart.",
    ),
    "spectral_power": (20, 0.1, "For residual and spectral: how sharply strong and weak directions are told apart."),
}
_COUNTS: Mapping[str, tuple[int, str]] = {
    "samples": (1000, "Noisy samples of each concept for the retention estimate."),
    "bins": (256, "Histogram bins of the retention estimate."),
    "bures_steps": (
        100,
        "scale: iterations of the Bures step, which draws rows back to the original; 0 leaves it out.",
    ),
}


def numeric_inputs() -> list[io.Input]:
    """Inputs for every setting, hidden behind the node's advanced view."""
    choices = [
        io.Combo.Input(
            name,
            options=[KEEP, *options],
            default=KEEP,
            optional=True,
            advanced=True,
            tooltip=f"{about} preset: as the preset has it.",
        )
        for name, (options, about) in _CHOICES.items()
    ]
    numbers = [
        io.Float.Input(
            name,
            default=UNSET,
            min=UNSET,
            max=most,
            step=step,
            round=1e-6,
            optional=True,
            advanced=True,
            tooltip=f"{about} Below 0: as the preset has it.",
        )
        for name, (most, step, about) in _NUMBERS.items()
    ]
    counts = [
        io.Int.Input(
            name,
            default=UNSET,
            min=UNSET,
            max=most,
            optional=True,
            advanced=True,
            tooltip=f"{about} Below 0: as the preset has it.",
        )
        for name, (most, about) in _COUNTS.items()
    ]
    return [*choices, *numbers, *counts]


def settings_from(preset: str, values: Mapping[str, Any]) -> Settings:
    """The preset's settings with those replaced that the user has set.

    Raises:
        ScaPreError: For an unknown preset or a value outside its range.
    """
    words: Mapping[str, Any] = {"on": True, "off": False}
    chosen = {name: value for name, value in values.items() if value != KEEP and (isinstance(value, str) or value >= 0)}
    return preset_settings(preset, {name: words.get(value, value) for name, value in chosen.items()})
