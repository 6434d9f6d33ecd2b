"""The kin of a name: words of the encoder's own vocabulary that are near to it, and so are most at risk.

Candidates are nearest by the embedding of a name's last token, and kin those of them that are nearest by the encoder's
states, words that are near by both before others. The order stays that of the embeddings: anchors chosen by states
erased no better (MiniCanvas, development names: 57 of 64 styles against 60).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...concepts.aliases import alike
from ...concepts.concepts import Concept
from ...concepts.spelling import core
from ...states.encoder import Encoder
from .candidates import ANCHORS, Candidates
from .kinds import WORDS
from .nearness import ALIKE, by_states

_ALL, _MOST, _LEAST = 400, 60, 12
_POOL, _READ = 2, 2400
"""Candidates for a place among the kin, and of all names: longer lists are ordered by embeddings alone."""
_OFF = "kin were not looked for, since search is off"
_UNREADABLE = "kin were not looked for, since this text encoder's vocabulary cannot be read"


@dataclass(frozen=True)
class Kin:
    """Words that stand by a name.

    Attributes:
        words: Nearest first.
        found: Whether they are near; else they are general words of its kind.
        all_go: Whether that is since all of its kind are erased.
        alike: Words that are no kin, since this encoder answers them like the name.
        why: Why none were found, if nobody has looked.
        told: Whether the words that CLIP answers alike may be told of this encoder.
    """

    words: tuple[str, ...]
    found: bool
    alike: tuple[str, ...] = ()
    why: str = ""
    told: bool = True
    all_go: bool = False

    @property
    def known(self) -> bool:
        """Whether it is known what becomes of its neighbours: they stay, or go too."""
        return self.found or self.all_go


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
    same_ones = [[encoder.tokens(word) for word in alike(concept.text)] for concept in concepts]
    banned |= {token for words in same_ones for word in words for token in word}
    count = max(_LEAST, min(_ALL // len(concepts), _MOST))
    ends = {name[-1] for name in tokens if name}
    pools = [
        # Other words for a name are no other names of its kind.
        Candidates.of(lexicon, name, _POOL * count, banned, ends - {word[-1] for word in words if word})
        for name, words in zip(tokens, same_ones, strict=True)
    ]
    read = {core(concept.text): tuple(pool.near) for concept, pool in zip(concepts, pools, strict=True) if pool.near}
    near = by_states(encoder, read) if sum(map(len, read.values())) <= _READ else {}
    same = {name: tuple(word for word, cosine in words if cosine >= ALIKE) for name, words in near.items()}
    gone = {word for words in same.values() for word in words}
    why = "" if lexicon and lexicon.words else _UNREADABLE if search else _OFF
    told = lexicon is None or lexicon.clip
    strangers = {kind: Kin(tuple(words[:count]), found=False, why=why, told=told) for kind, words in general.items()}
    found = []
    for concept, kind, pool in zip(concepts, kinds, pools, strict=True):
        name = core(concept.text)
        ordered = [word for word, _ in near[name]] if name in near else list(pool.near)
        chosen = [word for word in sorted(ordered, key=lambda word: not pool.near[word]) if word not in gone][:count]
        words = tuple(word for word in pool.near if word in chosen)
        if len(words) >= ANCHORS:
            found.append(Kin(words, True, same.get(name, ()), told=told))
        else:
            found.append(replace(strangers[kind], all_go=pool.all_go))
    return found


def general_words(encoder: Encoder, concepts: Sequence[Concept]) -> tuple[list[str], list[str]]:
    """Words of all kinds, and those of them that would hold an erased name."""
    names = [name for concept in concepts for name in (core(concept.text), *alike(concept.text))]
    banned = {token for name in names for token in encoder.tokens(name)}
    words = list(dict.fromkeys(word for found in WORDS.values() for word in found))
    return words, [word for word in words if not banned.isdisjoint(encoder.tokens(word))]
