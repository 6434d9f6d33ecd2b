"""How much of a name is left in a model's own predictions, asked of the model before and after an edit."""

from .scores import Probed, Row, measure
from .wordings import WORDINGS, Wording, wordings_of

__all__ = ["WORDINGS", "Probed", "Row", "Wording", "measure", "wordings_of"]
