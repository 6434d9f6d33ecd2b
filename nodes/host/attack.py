"""Attacks that a probe makes on the edited model: other words for a name, and states that call it up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ...scapre.checkpoints.towers import WINDOW
from ...scapre.concepts.alike import alike
from ...scapre.concepts.names import normalise
from ...scapre.errors import ScaPreError
from ...scapre.families import Role, adapter, contexts, having, layers, of_vectors, text_encoder
from ...scapre.families.family import Files
from ...scapre.families.roles import TEXT
from ...scapre.probe.attack import calling_up
from .probe import Attack, HostModels
from .projections import HostProjections

WORDS, STATES = frozenset({"words", "both"}), frozenset({"states", "both"})
ATTACKS = ("off", "words", "states", "both")
_EACH = 3


def words_like(names: Sequence[str], others: Collection[str]) -> tuple[str, ...]:
    """Words that CLIP answers like some names and that are none of them or of the others, a few for each."""
    there = {normalise(name) for name in (*names, *others)}
    found = (word for name in names for word in [w for w in alike(name) if normalise(w) not in there][:_EACH])
    return tuple(dict.fromkeys(found))


def reads_clip(model: Any) -> bool:
    """Whether words are known that the text encoder of a model answers alike."""
    return text_encoder(HostProjections(model).family).is_clip


def check_attack(model: Any) -> None:
    """Accepts a model whose projections read the text encoder's states as they are.

    Raises:
        ScaPreError: For another one.
    """
    projections = HostProjections(model)
    family = projections.family
    if adapter(family) or of_vectors(family) or any(contexts(family, projections.parameter)):
        raise ScaPreError(
            f"attacks: the text of {family} models goes through a network before it is projected, and no state of the "
            "text encoder is known that would come out as another there. Choose words or off."
        )


def attack(models: HostModels, original: Any, edited: Any, texts: Collection[str]) -> bool:
    """Replaces states and vectors of texts by those that call up most in the edited model.

    Args:
        models: Both.
        original: The MODEL.
        edited: Of the same architecture.
        texts: Which.

    Returns:
        Whether there is anything to attack: matrices that read a text and are others in the edited model.
    """
    before, after = HostProjections(original), HostProjections(edited)
    words, pooled = (having(before, roles) for roles in (TEXT, frozenset({Role.POOLED})))
    states, vectors = (_calling_up(before, after, names) for names in (words, pooled))
    each = ((layer, _calling_up(before, after, names)) for layer, names in layers(before.family, before.roles).items())
    deep = ((layer, found) for layer, found in each if found is not None)  # one by one: each is as large as the words'
    first = next(deep, None)
    if states is None and vectors is None and first is None:
        return False
    encoder = text_encoder(before.family)
    # Behind CLIP's one window SD3 has T5's tokens.
    kept = slice(0, 1) if encoder.files is Files.CLIP_AND_T5 else slice(None, None, WINDOW)
    width = before.shape(words[0])[1]
    same = torch.eye(width, dtype=torch.float64)
    models.attack(Attack(same if states is None else states, vectors, kept if encoder.is_clip else slice(0)), texts)
    for layer, found in chain([first] if first else [], deep):
        models.attack_layer(layer, found, texts)
    return True


def _calling_up(before: HostProjections, after: HostProjections, names: Sequence[str]) -> Tensor | None:
    """What takes states to others in some matrices; None where none of them differs."""
    cpu, changed = torch.device("cpu"), False

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal changed
        for name in names:
            first, second = before.read(name, cpu), after.read(name, cpu)
            changed = changed or not torch.equal(first, second)
            yield first, second

    found = calling_up(pairs()) if names else None
    return found if changed else None
