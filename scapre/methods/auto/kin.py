"""The kin of a name: words of the encoder's own vocabulary that are near to it, and so are most at risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...concepts.aliases import aliases, alike
from ...concepts.concepts import Concept
from ...concepts.names import normalise
from ...concepts.spelling import core
from ...errors import shorten, some
from ...states.encoder import Encoder
from ...states.lexicon import Lexicon
from .kinds import WORDS

ANCHORS = 4
"""Kin whose mean takes a name's place."""
_ALL, _MOST, _LEAST = 400, 60, 12
_SHOWN, _TOLD = 8, 6
_NEAR = 5.0  # standard deviations: the nearest of thirty thousand unrelated words come to four


@dataclass(frozen=True)
class Kin:
    """Words that stand by a name.

    Attributes:
        words: Nearest first.
        found: Whether they are near; else they are general words of its kind.
    """

    words: tuple[str, ...]
    found: bool


def find_kin(
    encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], kind: str, *, search: bool = True
) -> list[Kin]:
    """For each concept the words of the vocabulary nearest to its last token.

    A word that is a token of an erased name is none, and neither is one that the encoder answers like it: where it
    stays, the name does.

    Args:
        encoder: Its vocabulary is searched; where it has none, or nothing near, general words of the kind stand in.
        concepts: What is erased.
        preserve: Names that stay in any case.
        kind: One of `KINDS`.
        search: Whether to search at all.
    """
    lexicon = encoder.lexicon() if search else None
    tokens = [encoder.tokens(core(concept.text)) for concept in concepts]
    banned = {token for name in tokens for token in name}
    general = [word for word in WORDS[kind] if word not in preserve and banned.isdisjoint(encoder.tokens(word))]
    banned |= {token for name in (*preserve, *_alike(concepts)) for token in encoder.tokens(name)}
    count = max(_LEAST, min(_ALL // len(concepts), _MOST))
    return [_near(lexicon, name, count, banned) or Kin(tuple(general[:count]), found=False) for name in tokens]


def _alike(concepts: Sequence[Concept]) -> list[str]:
    """Words that the encoder answers like one of the names."""
    return [word for concept in concepts for word in alike(concept.text)]


def _near(lexicon: Lexicon | None, name: Sequence[int], count: int, banned: set[int]) -> Kin | None:
    if lexicon is None or not name:
        return None
    words = lexicon.nearest(name[-1], count, banned)
    found = [word for word, distance in words if distance >= _NEAR]
    return Kin(tuple(word for word, _ in words), found=True) if len(found) >= ANCHORS else None


def general_words(encoder: Encoder, concepts: Sequence[Concept]) -> tuple[list[str], list[str]]:
    """Words of all kinds, and those of them that would hold an erased name."""
    names = [core(concept.text) for concept in concepts]
    banned = {token for name in (*names, *_alike(concepts)) for token in encoder.tokens(name)}
    words = list(dict.fromkeys(word for found in WORDS.values() for word in found))
    return words, [word for word in words if not banned.isdisjoint(encoder.tokens(word))]


def kin_notes(concepts: Sequence[Concept], kin: Sequence[Kin]) -> tuple[str, ...]:
    """What the report says of the words that stay."""
    found = [(concept, near) for concept, near in zip(concepts, kin, strict=True) if near.found]
    notes = [f"stays beside {shorten(concept.text)}: {', '.join(near.words[:_SHOWN])} …" for concept, near in found]
    if len(notes) > _TOLD:
        notes = [*notes[:_TOLD], f"and words beside {len(notes) - _TOLD} more"]
    lost = [concept.text for concept, near in zip(concepts, kin, strict=True) if not near.found]
    if lost:
        notes.append(
            f"no words were found near to {some(lost, _TOLD)}: general words "
            "stay in their place, so name what should stay under preserve"
        )
    return (*notes, *_alias_notes(concepts))


def _alias_notes(concepts: Sequence[Concept]) -> list[str]:
    """Which words call up the same and are not erased."""
    there = {normalise(concept.text) for concept in concepts}
    found = [(c, [word for word in aliases(c.text) if word not in there][:_SHOWN]) for c in concepts]
    told = [f"{shorten(concept.text)} is also called up by {', '.join(words)}" for concept, words in found if words]
    more = [f"and {len(told) - _TOLD} more names by words like these"] if len(told) > _TOLD else []
    return [*told[:_TOLD], *more]
