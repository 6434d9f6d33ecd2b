"""What Unlearn Concepts must know of this world: how it is drawn, and how long to train."""

from __future__ import annotations

INPUTS: dict[str, str | float] = {"size": 64, "steps": 20, "first": 10, "iterations": 100, "preview_every": 0}
"""Key steps are the later half, as in the paper's preset for styles (24 to 49 of 50)."""
LEARNED = {f"unlearn.{name}": value for name, value in INPUTS.items()}
"""The same as inputs of an evaluation."""
LONG: dict[str, str | float] = {"unlearn.iterations": 400}
"""For lists of eight names."""
ESD: dict[str, str | float] = {"unlearn.preset": "esd-x", "unlearn.first": 0}
"""The ancestor in the same trainer: any step, and nothing is held."""
