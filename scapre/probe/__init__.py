"""How much of a name is left in a model's own predictions, asked of the model before and after an edit."""

from .scores import Asked, Probed, Row, measure
from .strength import Strength, least_strength
from .wordings import WORDINGS, Wording, wordings_of

__all__ = [
    "WORDINGS", "Asked", "Probed", "Row", "Strength", "Wording", "least_strength", "measure", "wordings_of",
]  # fmt: skip
