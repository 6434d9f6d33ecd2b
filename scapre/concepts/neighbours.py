"""Finds names in a list that look alike, so that a user can see what an edit may confuse."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from itertools import chain, islice

from .names import normalise

_LETTERS = 4
"""Letters that the longer of two words needs for one of them to count as a slip: cats is near cat, car is not."""
_COMPARED = 100
"""Names that one name is compared with at most, so that a list of thousands that share a word stays quick."""

_LONGEST = 30
"""Letters of the longest word that is looked at for slips; its spellings without one letter are kept in memory."""

_WORD = re.compile(r"\w+")
Words = frozenset[str]
Similar = Mapping[str, Set[str]]


def neighbours(names: Sequence[str]) -> list[tuple[int, ...]]:
    """For each name, the positions of the names that look like it, in the list's order.

    Two names are near if every word of the one with fewer words is in the other, give or take one letter. Case,
    accents and punctuation do not count. Monet is near Claude Monet, and so is Manet.

    Args:
        names: Different names.
    """
    words = [_words(name) for name in names]
    places: dict[str, list[int]] = defaultdict(list)
    for position, own in enumerate(words):
        for word in own:
            places[word].append(position)
    similar = _similar(places)
    found: list[set[int]] = [set() for _ in names]
    for here, own in enumerate(words):
        for there in islice(_candidates(own, similar, places), _COMPARED):
            if here != there and len(words[there]) >= len(own) and _covers(words[there], own, similar):
                found[here].add(there)
                found[there].add(here)
    return [tuple(sorted(near)) for near in found]


def alike(first: str, second: str) -> bool:
    """Whether two words are the same but for one letter more, less, different or swapped with the next."""
    if first == second:
        return True
    if max(len(first), len(second)) < _LETTERS or any(map(str.isdigit, first + second)):
        return False
    start = _shared(first, second)
    first, second = first[start:], second[start:]
    end = _shared(first[::-1], second[::-1])
    first, second = first[: len(first) - end], second[: len(second) - end]
    return max(len(first), len(second)) <= 1 or (len(first) == 2 and first == second[::-1])


def _shared(first: str, second: str) -> int:
    """Letters that two words begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def _words(name: str) -> Words:
    """Words of a name as they are compared: lower case, without accents."""
    letters = unicodedata.normalize("NFD", normalise(name))
    return frozenset(_WORD.findall("".join(char for char in letters if not unicodedata.combining(char))))


def _similar(words: Collection[str]) -> Similar:
    """Every word, and those like it. Words that are alike are equal, or are once each has lost some one letter."""
    sharing: dict[str, list[str]] = defaultdict(list)
    for word in words:
        for key in _keys(word):
            sharing[key].append(word)
    return {word: {other for key in _keys(word) for other in sharing[key] if alike(word, other)} for word in words}


def _keys(word: str) -> Set[str]:
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word) if len(word) <= _LONGEST else 0))}


def _candidates(words: Words, similar: Similar, places: Mapping[str, Sequence[int]]) -> Iterator[int]:
    """Names that have the rarest word of a name, or one like it."""

    def names(word: str) -> Iterator[Sequence[int]]:
        return (places[other] for other in sorted(similar[word]))

    rarest = min(sorted(words), key=lambda word: sum(map(len, names(word))), default=None)
    return iter(()) if rarest is None else chain.from_iterable(names(rarest))


def _covers(longer: Words, shorter: Words, similar: Similar) -> bool:
    return not any(similar[word].isdisjoint(longer) for word in shorter)
