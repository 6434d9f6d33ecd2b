"""The kin of a name: words of the encoder's own vocabulary that are near to it, and so are most at risk.

Candidates are nearest by the embedding of a name's last token, and kin those of them that are nearest by the encoder's
states, words that are near by both before others. The order stays that of the embeddings: anchors chosen by states
erased no better (MiniCanvas, development names: 57 of 64 styles against 60).
"""

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
from .nearness import ALIKE, by_states

ANCHORS = 4
"""Kin whose mean takes a name's place."""
_ALL, _MOST, _LEAST = 400, 60, 12
_POOL, _READ = 2, 2400
"""Candidates for a place among the kin, and of all names: longer lists are ordered by embeddings alone."""
_SHOWN, _TOLD = 8, 6
_OFF = "kin were not looked for, since search is off"
_UNREADABLE = "kin were not looked for, since this text encoder's vocabulary cannot be read"
_NEAR = 5.0  # standard deviations: the nearest of thirty thousand unrelated words come to four
_KINDRED = 2 / 3  # of the fourth nearest name that goes too: where all of a kind go, what is left is of another kind


@dataclass(frozen=True)
class Kin:
    """Words that stand by a name.

    Attributes:
        words: Nearest first.
        found: Whether they are near; else they are general words of its kind.
        alike: Words that are no kin, since this encoder answers them like the name.
        why: Why none were found, if nobody has looked.
        told: Whether the words that CLIP answers alike may be told of this encoder.
    """

    words: tuple[str, ...]
    found: bool
    alike: tuple[str, ...] = ()
    why: str = ""
    told: bool = True


def find_kin(
    encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], kinds: Sequence[str], *, search: bool = True
) -> list[Kin]:
    """For each concept the words of the vocabulary nearest to it.

    A word that is a token of an erased name is none, and neither is one that the encoder answers like it: where it
    stays, the name does.

    Args:
        encoder: Its vocabulary is searched; where it has none, or nothing near, general words of its kind stand in.
        concepts: What is erased.
        preserve: Names that stay in any case; those of one word may be kin like other words.
        kinds: Of each concept, one of `KINDS`.
        search: Whether to search at all.
    """
    lexicon = encoder.lexicon() if search else None
    tokens = [encoder.tokens(core(concept.text)) for concept in concepts]
    banned = {token for name in tokens for token in name}

    def free(word: str) -> bool:
        return banned.isdisjoint(encoder.tokens(word))

    general = {kind: [word for word in WORDS[kind] if word not in preserve and free(word)] for kind in set(kinds)}
    banned |= {token for name in _alike(concepts) for token in encoder.tokens(name)}
    count = max(_LEAST, min(_ALL // len(concepts), _MOST))
    ends = {name[-1] for name in tokens if name}
    pools = [_near(lexicon, name, _POOL * count, banned, ends) for name in tokens]
    read = {core(concept.text): tuple(pool) for concept, pool in zip(concepts, pools, strict=True) if pool}
    near = by_states(encoder, read) if sum(map(len, read.values())) <= _READ else {}
    same = {name: tuple(word for word, cosine in words if cosine >= ALIKE) for name, words in near.items()}
    gone = {word for words in same.values() for word in words}
    why = "" if lexicon and lexicon.words else _UNREADABLE if search else _OFF
    told = lexicon is None or lexicon.clip
    strangers = {kind: Kin(tuple(words[:count]), found=False, why=why, told=told) for kind, words in general.items()}
    found = []
    for concept, kind, pool in zip(concepts, kinds, pools, strict=True):
        name = core(concept.text)
        ordered = [word for word, _ in near[name]] if name in near else list(pool)
        chosen = [word for word in sorted(ordered, key=lambda word: not pool[word]) if word not in gone][:count]
        words = tuple(word for word in pool if word in chosen)
        found.append(Kin(words, True, same.get(name, ()), told=told) if len(words) >= ANCHORS else strangers[kind])
    return found


def _alike(concepts: Sequence[Concept]) -> list[str]:
    """Words that the encoder answers like one of the names."""
    return [word for concept in concepts for word in alike(concept.text)]


def _near(
    lexicon: Lexicon | None, name: Sequence[int], count: int, banned: set[int], ends: set[int]
) -> dict[str, bool]:
    """Candidates, nearest first, and whether each is near at all; none where too few are.

    Args:
        lexicon: The encoder's vocabulary.
        name: Tokens of a name.
        count: Of candidates.
        banned: Tokens of words that are none.
        ends: The last tokens of all names.
    """
    if lexicon is None or not name or not lexicon.words:
        return {}
    kindred = sorted(lexicon.distances(name[-1], sorted(ends - {name[-1]})), reverse=True)
    least = max([_NEAR, *(_KINDRED * distance for distance in kindred[ANCHORS - 1 : ANCHORS])])
    words = lexicon.nearest(name[-1], count, banned)
    found = sum(distance >= least for _, distance in words) >= ANCHORS
    return {word: distance >= _NEAR for word, distance in words} if found else {}


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
        why = next(near.why for near in kin if not near.found) or f"no words were found near to {some(lost, _TOLD)}"
        notes.append(f"{why}: general words stay in their place, so name what should stay under preserve")
    return (*notes, *_alias_notes(concepts, kin))


def _alias_notes(concepts: Sequence[Concept], kin: Sequence[Kin]) -> list[str]:
    """Which words call up the same and are not erased."""
    there = {normalise(concept.text) for concept in concepts}
    words = [
        dict.fromkeys((*near.alike, *(aliases(concept.text) if near.told else ())))
        for concept, near in zip(concepts, kin, strict=True)
    ]
    found = [
        (c, [word for word in some if word not in there][:_SHOWN]) for c, some in zip(concepts, words, strict=True)
    ]
    told = [f"{shorten(concept.text)} is also called up by {', '.join(words)}" for concept, words in found if words]
    more = [f"and {len(told) - _TOLD} more names by words like these"] if len(told) > _TOLD else []
    return [*told[:_TOLD], *more]
