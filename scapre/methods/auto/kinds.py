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


def kind_of(chosen: str, concepts: Sequence[Concept]) -> str:
    """The kind of a list: what was chosen, or what most of its names look like.

    Names of several words that begin with capitals are artists or other people, told apart by their anchor alone; in
    text-to-image lists artists are the rule.
    """
    if chosen in KINDS:
        return chosen
    found = [_guess(concept) for concept in concepts]
    return max(KINDS, key=found.count)


def _guess(concept: Concept) -> str:
    words = concept.text.split()
    if _EXPLICIT & set(normalise(concept.text).split()):
        return "explicit"
    if normalise(concept.anchor) in ("person", "man", "woman"):
        return "person"
    named = len(words) > 1 and all(word[:1].isupper() for word in words)
    return "style" if named or _STYLES & set(normalise(f"{concept.anchor} {concept.text}").split()) else "object"
