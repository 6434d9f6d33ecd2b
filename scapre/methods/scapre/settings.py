"""The numbers of a ScaPre edit (arXiv 2601.06162), and the released presets that set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..settings import MethodSettings, Preset, choice, load_presets, number, switch


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of ScaPre. The defaults are those of the release where it names them."""

    variant: Literal["precise", "scale"] = choice(
        "precise", ("precise", "scale"), "precise: few or confusable concepts. scale: many concepts."
    )
    ridge: float = number(
        0.5, "λ, the weight of the original model; smaller erases harder.", 1e-6, 1e6, offered=100, step=0.01
    )
    erase_scale: float = number(
        1.0, "s, the weight of the concepts against the original model.", 0, 1e4, offered=100, step=0.1
    )
    informax: bool = switch(True, "Gates each row by what it tells about the concept.")
    gate_power: float = number(2.0, "p, how sharply rows are told apart by the gate.", 0, 100, offered=20, step=0.1)
    gate_temperature: float = number(
        0.7, "How softly rows are told apart by the gate.", 1e-3, 1e3, offered=10, step=0.01
    )
    noise: float = number(0.01, "σ of the samples drawn around each concept.", 0, 10, offered=1, step=0.001)
    samples: int = number(20, "Noisy samples of each concept for the retention estimate.", 2, 1000)
    bins: int = number(20, "Histogram bins of the retention estimate.", 2, 256)
    alpha_min: float = number(
        0.8, "precise: the least share of the edit that a row takes; 1 gives every row all of it.", 0, 1, step=0.01
    )
    residual: bool = switch(False, "precise: also remove the weak directions that the concepts share.")
    spectral: bool = switch(False, "scale: hold back weak directions of the concepts (spectral regulariser).")
    spectral_temperature: float = number(
        1.0,
        "For residual and spectral: how softly strong and weak directions are told apart.",
        1e-3, 1e3, offered=10, step=0.01,
    )  # fmt: skip
    spectral_power: float = number(
        1.0,
        "For residual and spectral: how sharply strong and weak directions are told apart.",
        0, 100, offered=20, step=0.1,
    )  # fmt: skip
    bures_steps: int = number(
        1, "scale: iterations of the Bures step, which draws rows back to the original; 0 leaves it out.", 0, 100
    )
    row_valve: bool = switch(False, "scale: keep length and direction of rows that matter to everything.")
    technique: Literal["replace", "tensor"] = choice(
        "replace",
        ("replace", "tensor"),
        "replace: the concept answers like its anchor. tensor: what the two have in common is removed as well.",
    )


PRESETS: Mapping[str, Preset] = load_presets(Path(__file__).with_name("presets.json"), Settings)
