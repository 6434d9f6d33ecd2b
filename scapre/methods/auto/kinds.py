"""Kinds of names, and general words of each: what stays, and stands in for a name, where nothing nearer is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...concepts.concepts import Concept
from ...concepts.names import normalise

WORDS: Mapping[str, Sequence[str]] = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
"""Words of every kind, which stay wherever they are not erased themselves."""
KINDS = ("object", "style", "person", "explicit")

_EXPLICIT = frozenset({"nude", "nudity", "naked", "nsfw", "topless", "unclothed", "erotic", "porn", "sexual", "sex"})
_STYLES = frozenset({"art", "style", "painting", "artist", "artwork", "drawing", "illustration"})


def kinds_of(chosen: str, concepts: Sequence[Concept]) -> list[str]:
    """The kind of each name of a list: what was chosen, or what it looks like, and if that tells nothing, most others.

    Names of several words that begin with capitals are artists or other people, told apart by their anchor alone; in
    text-to-image lists artists are the rule.
    """
    if chosen in KINDS:
        return [chosen] * len(concepts)
    found = [_guess(concept) for concept in concepts]
    rule = max(KINDS, key=found.count)
    return [kind or rule for kind in found]


def _guess(concept: Concept) -> str:
    """A kind; none where a single word begins with a capital, as things in some lists do and painters in others."""
    words = concept.text.split()
    if _EXPLICIT & set(normalise(concept.text).split()):
        return "explicit"
    if normalise(concept.anchor) in ("person", "man", "woman"):
        return "person"
    capitals = all(word[:1].isupper() for word in words)
    if (capitals and len(words) > 1) or _STYLES & set(normalise(f"{concept.anchor} {concept.text}").split()):
        return "style"
    return "" if capitals else "object"
