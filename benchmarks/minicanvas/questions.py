"""Questions: a prompt, and what should be read off its picture. They are drawn at chance from fixed seeds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal, TypeAlias

import numpy as np

from . import captions
from .captions import write
from .world import ARTIST_NAMES, COLOURS, OBJECTS, PLAIN, Picture

VERSION = 3
"""Of the questions and the tasks; any change to them raises it."""
DRAWN = 2
"""Goes into the chance that questions are drawn by: those of version 2 stayed as they were when others were added."""

Domain: TypeAlias = Literal["object", "colour", "style"]
Role: TypeAlias = Literal["erase", "beside", "in", "cross"]
WORDINGS = captions.WITH_ARTIST[:3]


@dataclass(frozen=True)
class Check:
    """One thing that is read off a picture.

    Attributes:
        role: "erase" counts if it is not read; the others count if it is. "beside" is what a target prompt says
            besides the target.
        domain: where to read it.
        word: what was asked for.
    """

    role: Role
    domain: Domain
    word: str


@dataclass(frozen=True)
class Question:
    """A prompt and what to check in its picture.

    Attributes:
        text: the prompt.
        checks: what is read.
        shows: the drawing it asks for, where it says everything.
    """

    text: str
    checks: tuple[Check, ...]
    shows: Picture | None = None

    @property
    def seed(self) -> int:
        """Seed of the noise: the same in every task and for every method."""
        return zlib.crc32(self.text.encode())

    @property
    def retained(self) -> bool:
        """Whether it asks for nothing that is erased."""
        return all(check.role in ("in", "cross") for check in self.checks)


@dataclass(frozen=True)
class Sizes:
    """How many questions of each group a task has."""

    target: int
    kept: int
    other: int


class Choice:
    """Takes objects, colours and artists at chance, but each about equally often."""

    def __init__(self, name: str) -> None:
        self._random = np.random.Generator(np.random.PCG64([DRAWN, zlib.crc32(name.encode())]))

    def spread(self, words: Sequence[str], count: int) -> list[str]:
        """Return `count` words, in any order, none more than once more often than another."""
        rounds = [self._random.permutation(len(words)) for _ in range(-(-count // len(words)))]
        return [words[index] for order in rounds for index in order][:count]

    def pictures(self, objects: Sequence[str], artists: Sequence[str], count: int) -> list[Picture]:
        """Return pictures of these objects by these artists, in all colours; none if there is nothing to take from."""
        if not objects or not artists:
            return []
        parts = self.spread(objects, count), self.spread(list(COLOURS), count), self.spread(artists, count)
        return [Picture(*entry) for entry in zip(*parts, strict=True)]


def without(words: Sequence[str], erased: Sequence[str]) -> list[str]:
    """Return the words that are not erased."""
    return [word for word in words if word not in erased]


def ask(picture: Picture, wording: str, **roles: Role) -> Question:
    """Ask for a picture, and check the domains that have a role."""
    words = {"object": picture.object, "colour": picture.colour, "style": picture.artist}
    checks = tuple(Check(role, domain, words[domain]) for domain, role in roles.items())
    return Question(write(wording, picture), checks, picture if picture.object else None)


def style_questions(
    choice: Choice,
    erased: Sequence[str],
    sizes: Sizes,
    wordings: Sequence[str] = WORDINGS,
    kept: Sequence[str] = (),
) -> Iterator[Question]:
    """Ask for erased artists, for the others (or those named), and for nobody's style."""
    turn = cycle(wordings)
    for picture in choice.pictures(OBJECTS, erased, sizes.target):
        yield ask(picture, next(turn), style="erase", object="beside")
    for picture in choice.pictures(OBJECTS, kept or without(ARTIST_NAMES, erased), sizes.kept):
        yield ask(picture, next(turn), style="in", object="cross")
    for picture in choice.pictures(OBJECTS, [PLAIN], sizes.other):
        yield ask(picture, captions.WITHOUT_ARTIST[0], object="cross")


def object_questions(
    choice: Choice,
    erased: Sequence[str],
    sizes: Sizes,
    wordings: Sequence[str] = WORDINGS,
    kept: Sequence[str] = (),
) -> Iterator[Question]:
    """Ask for erased objects, for the others (or those named), and for artists alone."""
    turn = cycle(wordings)
    for picture in choice.pictures(erased, ARTIST_NAMES, sizes.target):
        yield ask(picture, next(turn), object="erase", style="beside")
    for picture in choice.pictures(kept or without(OBJECTS, erased), ARTIST_NAMES, sizes.kept):
        yield ask(picture, next(turn), object="in", style="cross")
    alone = cycle(captions.ARTIST_ALONE[1:])
    for artist in choice.spread(ARTIST_NAMES, sizes.other):
        yield ask(Picture("", "", artist), next(alone), style="cross")


def word_questions(choice: Choice, erased: Picture, sizes: Sizes) -> Iterator[Question]:
    """Ask for an object in the one colour that is erased with it ("red star"), in other colours, and other objects."""
    turn = cycle(WORDINGS)
    for artist in choice.spread(ARTIST_NAMES, sizes.target):
        picture = Picture(erased.object, erased.colour, artist)
        yield ask(picture, next(turn), object="erase", style="beside")
    colours = without(list(COLOURS), [erased.colour])
    parts = choice.spread(colours, sizes.kept), choice.spread(ARTIST_NAMES, sizes.kept)
    for colour, artist in zip(*parts, strict=True):
        yield ask(Picture(erased.object, colour, artist), next(turn), object="in", colour="cross")
    for name in choice.spread(without(OBJECTS, [erased.object]), sizes.other):
        yield ask(Picture(name, erased.colour), captions.WITHOUT_ARTIST[0], object="in", colour="cross")


def mixed_questions(
    choice: Choice, erased: Sequence[str], sizes: Sizes, kept: Sequence[str] = ()
) -> Iterator[Question]:
    """Ask for erased objects and artists, never two at once, and for those that are left; colours have to stay.

    Where `kept` names some of those that are left, only these are asked for.
    """
    objects, artists = without(OBJECTS, erased), without(ARTIST_NAMES, erased)
    gone = without(OBJECTS, objects), without(ARTIST_NAMES, artists)
    if kept:
        objects, artists = ([name for name in names if name in kept] for names in (objects, artists))
    turn = cycle(WORDINGS)
    half = sizes.target // 2 if all(gone) else sizes.target
    for picture in choice.pictures(gone[0], [PLAIN], half):
        yield ask(picture, captions.WITHOUT_ARTIST[0], object="erase", colour="cross")
    for picture in choice.pictures(objects, gone[1], half):
        yield ask(picture, next(turn), style="erase", colour="cross")
    if not objects:
        alone = cycle(captions.ARTIST_ALONE[1:])
        for artist in choice.spread(gone[1], half):
            yield ask(Picture("", "", artist), next(alone), style="erase")
    for picture in choice.pictures(objects, artists, sizes.kept):
        yield ask(picture, next(turn), object="in", style="in", colour="cross")
    for picture in choice.pictures(objects, [PLAIN], sizes.other):
        yield ask(picture, captions.WITHOUT_ARTIST[0], object="in", colour="cross")
