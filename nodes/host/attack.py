"""Attacks that a probe makes on the edited model: other words for a name, and states that call it up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from ...scapre.concepts.alike import alike
from ...scapre.errors import ScaPreError
from ...scapre.families import adapter, contexts, having, of_vectors, text_encoder
from ...scapre.families.roles import TEXT
from ...scapre.probe.attack import calling_up
from .probe import HostModels
from .projections import HostProjections

WORDS, STATES = frozenset({"words", "both"}), frozenset({"states", "both"})
ATTACKS = ("off", "words", "states", "both")
_EACH = 3


def words_like(names: Sequence[str], others: Collection[str]) -> tuple[str, ...]:
    """Words that CLIP answers like some names and that are none of them or of the others, a few for each."""
    there = {name.casefold() for name in (*names, *others)}
    found = (word for name in names for word in [w for w in alike(name) if w.casefold() not in there][:_EACH])
    return tuple(dict.fromkeys(found))


def reads_clip(model: Any) -> bool:
    """Whether words are known that the text encoder of a model answers alike."""
    return text_encoder(HostProjections(model).family).is_clip


def attack(models: HostModels, original: Any, edited: Any, texts: Collection[str]) -> None:
    """Replaces the states of texts by those that call up most in the edited model.

    Args:
        models: Both.
        original: The MODEL.
        edited: Of the same architecture.
        texts: Which.

    Raises:
        ScaPreError: If the family's text goes through networks before the projections read it.
    """
    before, after = HostProjections(original), HostProjections(edited)
    family = before.family
    if adapter(family) or of_vectors(family) or any(contexts(family, before.parameter)):
        raise ScaPreError(
            f"attacks: a {family} model's text goes through a network of its own before it is projected, and no state "
            "of the text encoder is known that would come out as another there. Choose words or off."
        )
    names, cpu = having(before, TEXT), torch.device("cpu")
    states = calling_up((before.read(name, cpu), after.read(name, cpu)) for name in names)
    models.attack(states, texts, start=text_encoder(family).is_clip)
