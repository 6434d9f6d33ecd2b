"""The numbers of a ScaPre edit, and the released presets that set them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ...errors import ScaPreError, shorten


@dataclass(frozen=True)
class Settings:
    """Options of ScaPre (arXiv 2601.06162). The defaults are those of the release where it names them.

    Attributes:
        variant: `precise` for few or confusable concepts, `scale` for many.
        ridge: λ, the weight of the original response; greater than 0.
        erase_scale: s, the weight of the concepts against the ridge.
        informax: Whether rows are gated by their mutual information with a concept.
        gate_power: p, the exponent of the gate.
        gate_temperature: The divisor of the gate's z-score.
        noise: σ, the standard deviation of the samples around a concept's state.
        samples: Noisy samples a concept for the retention estimate.
        bins: Histogram bins of the retention estimate.
        alpha_min: Least share of the edit in a row (`precise`).
        residual: Whether weak singular directions of the concepts are removed too (`precise`).
        spectral: Whether weak singular directions of the concepts are held back (`scale`).
        spectral_temperature: T of the singular-value gate.
        spectral_power: q of the singular-value gate.
        bures_steps: Iterations of the Bures proximal step (`scale`); 0 leaves it out.
        row_valve: Whether rows that matter to everything keep their direction and length (`scale`).
        technique: `replace` maps a concept to its anchor; `tensor` also removes what the two have in common.
    """

    variant: Literal["precise", "scale"] = "precise"
    ridge: float = 0.5
    erase_scale: float = 1.0
    informax: bool = True
    gate_power: float = 2.0
    gate_temperature: float = 0.7
    noise: float = 0.01
    samples: int = 20
    bins: int = 20
    alpha_min: float = 0.8
    residual: bool = False
    spectral: bool = False
    spectral_temperature: float = 1.0
    spectral_power: float = 1.0
    bures_steps: int = 1
    row_valve: bool = False
    technique: Literal["replace", "tensor"] = "replace"

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ScaPreError: For a value outside its range.
        """
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                raise ScaPreError(f"{name}: {value} is outside {least:g} to {most:g}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ScaPreError(
                    f"{name}: {shorten(getattr(self, name))} is unknown. Choose one of {', '.join(choices)}."
                )


_RANGES: Mapping[str, tuple[float, float]] = {
    "ridge": (1e-6, 1e6),
    "erase_scale": (0, 1e4),
    "gate_power": (0, 100),
    "gate_temperature": (1e-3, 1e3),
    "noise": (0, 10),
    "samples": (2, 1000),
    "bins": (2, 256),
    "alpha_min": (0, 1),
    "spectral_temperature": (1e-3, 1e3),
    "spectral_power": (0, 100),
    "bures_steps": (0, 100),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {"variant": ("precise", "scale"), "technique": ("replace", "tensor")}


@dataclass(frozen=True)
class Preset:
    """A documented recipe: settings, and the anchor and concepts it was released with, where it names them."""

    name: str
    about: str
    settings: Settings
    anchor: str = ""
    concepts: tuple[str, ...] = ()


def _load_presets() -> Mapping[str, Preset]:
    data = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
    presets = {
        name: Preset(name, p["about"], Settings(**p["settings"]), p.get("anchor", ""), tuple(p.get("concepts", ())))
        for name, p in data.items()
    }
    return MappingProxyType(presets)


PRESETS: Mapping[str, Preset] = _load_presets()


def preset_settings(name: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a preset, with single values replaced.

    Raises:
        ScaPreError: For an unknown preset or setting, or a value outside its range.
    """
    if name not in PRESETS:
        raise ScaPreError(f"preset: {shorten(name)} is unknown. Choose one of {', '.join(PRESETS)}.")
    unknown = set(overrides or {}) - {field.name for field in fields(Settings)}
    if unknown:
        raise ScaPreError(f"settings: {shorten(', '.join(sorted(unknown)))} is not a setting of ScaPre.")
    return replace(PRESETS[name].settings, **(overrides or {}))
