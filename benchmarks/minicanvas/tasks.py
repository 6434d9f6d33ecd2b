"""The tasks: what is erased, and what a model is asked before and after. Fixed; a change raises VERSION.

The protocol is UnlearnCanvas's (arXiv 2402.11846): is the erased concept gone (unlearning accuracy), are the others of
its kind still read right (in-domain retaining), and is what has nothing to do with it (cross-domain retaining)?
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal, TypeAlias

import numpy as np

from . import captions
from .captions import write
from .world import ARTIST_NAMES, COLOURS, OBJECTS, PLAIN, TWINS, Picture

VERSION = 2

Domain: TypeAlias = Literal["object", "colour", "style"]
Role: TypeAlias = Literal["erase", "beside", "in", "cross"]
Kind: TypeAlias = Literal["style", "object", "confusable", "mixed"]

SPLITS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "development": (ARTIST_NAMES[:8], OBJECTS[2:4] + OBJECTS[:2] + OBJECTS[4:10]),
    "held-out": (ARTIST_NAMES[8:], OBJECTS[10:]),
}
"""Artists and objects that methods may be tuned on, and those they may not; twins stay together."""
CURVE = (1, 2, 5, 10, 20, len(OBJECTS) + len(ARTIST_NAMES))


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
class Task:
    """An edit and the questions that are asked of it.

    Attributes:
        name: short, unique.
        kind: which settings a method takes.
        split: development or held-out; mixed lists run through both.
        concepts: what is erased.
        questions: in a fixed order.
    """

    name: str
    kind: Kind
    split: str
    concepts: tuple[str, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Sizes:
    """How many questions of each group a task has."""

    target: int
    kept: int
    other: int


FULL, QUICK = Sizes(24, 30, 10), Sizes(8, 10, 4)
WORDINGS = captions.WITH_ARTIST[:3]


class Choice:
    """Takes objects, colours and artists at chance, but each about equally often."""

    def __init__(self, name: str) -> None:
        self._random = np.random.Generator(np.random.PCG64([VERSION, zlib.crc32(name.encode())]))

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
    choice: Choice, erased: Sequence[str], sizes: Sizes, wordings: Sequence[str] = WORDINGS
) -> Iterator[Question]:
    """Ask for erased artists, for the others, and for nobody's style."""
    turn = cycle(wordings)
    for picture in choice.pictures(OBJECTS, erased, sizes.target):
        yield ask(picture, next(turn), style="erase", object="beside")
    for picture in choice.pictures(OBJECTS, without(ARTIST_NAMES, erased), sizes.kept):
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


def mixed_questions(choice: Choice, erased: Sequence[str], sizes: Sizes) -> Iterator[Question]:
    """Ask for erased objects and artists, never two at once, and for those that are left; colours have to stay."""
    objects, artists = without(OBJECTS, erased), without(ARTIST_NAMES, erased)
    gone = without(OBJECTS, objects), without(ARTIST_NAMES, artists)
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


def curve(count: int) -> tuple[str, ...]:
    """Return the first concepts of one fixed list in which objects and artists take turns, and twins come late."""
    objects = [pair[0] for pair in TWINS] + [pair[1] for pair in TWINS]
    paired = [name for pair in zip(objects, ARTIST_NAMES, strict=False) for name in pair]
    return tuple(paired + objects[len(ARTIST_NAMES) :])[:count]


def split_tasks(split: str, sizes: Sizes, pairs: int) -> Iterator[Task]:
    """Return the tasks that exist once for each split."""
    artists, objects = SPLITS[split]
    style, thing = artists[:1], objects[:1]

    def task(name: str, kind: Kind, concepts: Sequence[str], questions: Iterator[Question]) -> Task:
        return Task(f"{name}/{split}", kind, split, tuple(concepts), tuple(questions))

    def choice(name: str) -> Choice:
        return Choice(f"{name}/{split}")

    yield task("one style", "style", style, style_questions(choice("style"), style, sizes))
    yield task("one object", "object", thing, object_questions(choice("object"), thing, sizes))
    yield task("half of the styles", "style", artists, style_questions(choice("styles"), artists, sizes))
    yield task("half of the objects", "object", objects, object_questions(choice("objects"), objects, sizes))
    told = captions.PARAPHRASES_WITH_ARTIST
    again = style_questions(choice("style again"), style, sizes, told)
    yield task("one style, paraphrased", "style", style, again)
    yield task("one object, paraphrased", "object", thing, object_questions(choice("object again"), thing, sizes, told))
    few = Sizes(sizes.target // 2, sizes.target // 2, 0)
    for gone, twin in [pair for pair in TWINS if pair[0] in objects][:pairs]:
        questions = object_questions(choice(gone), [gone], few, kept=[twin])
        yield task(f"{gone}, not {twin}", "confusable", [gone], questions)


def all_tasks() -> tuple[Task, ...]:
    """Return every task."""
    found = [task for split in SPLITS for task in split_tasks(split, FULL, 3)]
    return (*found, *(curve_task(count, FULL) for count in CURVE))


def quick_tasks() -> tuple[Task, ...]:
    """Return a few tasks with few questions: to see whether something works, not to compare by."""
    plain = [task for task in split_tasks("development", QUICK, 1) if "paraphrased" not in task.name]
    return (*plain, *(curve_task(count, QUICK) for count in (CURVE[2], CURVE[-1])))


def task_for(name: str, concepts: Sequence[str], sizes: Sizes) -> Task:
    """Return a task for an edit that erases these concepts.

    Raises:
        ValueError: one of them is not in this world.
    """
    unknown = without(without(concepts, OBJECTS), ARTIST_NAMES)
    if unknown:
        raise ValueError(f"{name} erases {', '.join(unknown)}, which MiniCanvas does not know")
    objects, artists = without(concepts, ARTIST_NAMES), without(concepts, OBJECTS)
    ask_for = mixed_questions if objects and artists else object_questions if objects else style_questions
    kind: Kind = "mixed" if objects and artists else "object" if objects else "style"
    return Task(name, kind, "both", tuple(concepts), tuple(ask_for(Choice(name), concepts, sizes)))


def curve_task(count: int, sizes: Sizes) -> Task:
    """Return the task that erases the first `count` concepts of the curve."""
    name, erased = f"curve, {count}", curve(count)
    return Task(name, "mixed", "both", erased, tuple(mixed_questions(Choice(name), erased, sizes)))
