"""What Erase Neurons must know of this world: how it is drawn, and words that it knows."""

from __future__ import annotations

from .world import OBJECTS

INPUTS: dict[str, str | float] = {
    "size": 64, "steps": 20, "cfg": 3.0, "recorded": 4, "pairs": len(OBJECTS), "words": "; ".join(OBJECTS),
}  # fmt: skip
WORLD = {f"neurons.{name}": value for name, value in INPUTS.items()}
"""The same as inputs of an evaluation."""
WIDE: dict[str, str | float] = {"neurons.saliency": "released", "neurons.neuron_ratio": 0.2}
"""Up to a fifth of the weights is cut."""
TURNED: dict[str, str | float | bool] = {"neurons.neuron_ratio": 0.05, "strength": 2.0}
"""What erases most of what costs least on development names: a twentieth, turned round."""
