"""What is trained on: concepts, what takes their place, and their prompts, at the end in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...concepts.concepts import Concept
from ...concepts.spelling import core
from .settings import NAME, named

VARIANTS = 10
"""Of each prompt, in the last iterations."""
_BEFORE = ("a picture of", "an image of", "a view of", "the")
_AFTER = ("in detail", "at dawn", "up close", "as before")


@dataclass(frozen=True)
class Lesson:
    """A concept.

    Attributes:
        name: As prompts have it.
        instead: What takes its place; empty is the empty prompt.
        prompts: That it is drawn and trained in.
        variants: Of each prompt.
    """

    name: str
    instead: str
    prompts: tuple[str, ...]
    variants: tuple[tuple[str, ...], ...]


def lessons(concepts: Sequence[Concept], wordings: Sequence[str], seed: int) -> tuple[Lesson, ...]:
    """What to train on for each concept.

    Args:
        concepts: With what takes their place.
        wordings: With NAME for the name.
        seed: Of the variants.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for concept in concepts:
        name = core(concept.text)
        prompts = tuple(named(wording, name) for wording in wordings)
        variants = tuple(tuple(_varied(wording, name, generator) for _ in range(VARIANTS)) for wording in wordings)
        found.append(Lesson(name, core(concept.anchor), prompts, variants))
    return tuple(found)


def _varied(wording: str, name: str, generator: torch.Generator) -> str:
    """A prompt with words in another order, without one of those around the name, or with words before or after."""

    def chance(end: int) -> int:
        return int(torch.randint(end, (), generator=generator))

    words, kind = wording.split(), chance(4)
    around = [place for place, word in enumerate(words) if NAME not in word]
    if kind == 0 and around:
        words = [words[place] for place in torch.randperm(len(words), generator=generator).tolist()]
    elif kind == 1 and around:
        del words[around[chance(len(around))]]
    elif kind == 2:
        words = [_BEFORE[chance(len(_BEFORE))], *words]
    else:
        words = [*words, _AFTER[chance(len(_AFTER))]]
    return named(" ".join(words), name)
