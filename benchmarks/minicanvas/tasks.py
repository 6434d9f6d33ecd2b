"""The tasks: what is erased, and what a model is asked before and after. Fixed; a change raises VERSION.

The protocol is UnlearnCanvas's (arXiv 2402.11846): is the erased concept gone (unlearning accuracy), are the others of
its kind still read right (in-domain retaining), and is what has nothing to do with it (cross-domain retaining)?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from . import captions
from .questions import (
    Choice,
    Question,
    Sizes,
    mixed_questions,
    object_questions,
    style_questions,
    without,
    word_questions,
)
from .world import ARTIST_NAMES, OBJECTS, TWINS, Picture

Kind: TypeAlias = Literal["style", "object", "confusable", "mixed"]

SPLITS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "development": (ARTIST_NAMES[:8], OBJECTS[2:4] + OBJECTS[:2] + OBJECTS[4:10]),
    "held-out": (ARTIST_NAMES[8:], OBJECTS[10:]),
}
"""Artists and objects that methods may be tuned on, and those they may not; twins stay together."""
WORD_COLOUR = "green"
UNSEEN = (
    "lantern", "violin", "teapot", "glacier", "wolf", "umbrella", "cathedral", "bicycle",
    "Henrik Aldous", "Mei Castellan", "Rosa Quill", "Ilan Verger",
)  # fmt: skip
"""Objects and invented artists that are nowhere in this world."""
CURVE = (1, 2, 5, 10, 20, len(OBJECTS) + len(ARTIST_NAMES))
FULL, QUICK = Sizes(24, 30, 10), Sizes(6, 8, 3)


@dataclass(frozen=True)
class Task:
    """An edit and the questions that are asked of it.

    Attributes:
        name: short, unique.
        kind: which settings a method takes.
        split: development or held-out; mixed lists run through both.
        concepts: what is erased.
        questions: in a fixed order.
        preserve: names that the user lists as to be preserved.
        lora: whether the shipped LoRA is put on the edited model.
    """

    name: str
    kind: Kind
    split: str
    concepts: tuple[str, ...]
    questions: tuple[Question, ...]
    preserve: tuple[str, ...] = ()
    lora: bool = False


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


def hard_tasks(split: str, sizes: Sizes) -> Iterator[Task]:
    """Return the tasks of version 3, which exist once for each split.

    Namesakes share all of a name but its end. Of every pair of twins and every second artist one goes and one stays,
    unlisted or listed. A name of two words goes while both words stay. A list of names to preserve that the model has
    never seen must not hold what is erased, and a LoRA learned from other drawings must not bring it back.
    """
    artists, objects = SPLITS[split]
    gone, left = artists[::2] + objects[::2], artists[1::2] + objects[1::2]
    style, thing, words = artists[4:5], objects[4:5], (objects[6], WORD_COLOUR)
    few = Sizes(sizes.target // 2, sizes.target // 2, sizes.other // 2)
    mean = Sizes(2 * few.target, 2 * few.kept, sizes.other)

    def choice(name: str) -> Choice:
        return Choice(f"{name}/{split}")

    asked = tuple(style_questions(choice("namesakes"), artists[:1], few, kept=artists[1:4]))
    yield Task(f"one of four namesakes/{split}", "style", split, artists[:1], asked)
    asked = tuple(mixed_questions(choice("every second"), gone, mean, left))
    yield Task(f"every second name/{split}", "mixed", split, gone, asked)
    yield Task(f"every second name, others listed/{split}", "mixed", split, gone, asked, left)
    asked = tuple(word_questions(choice("two words"), Picture(*words), few))
    yield Task(f"two words, both stay/{split}", "object", split, (" ".join(words[::-1]),), asked, words)
    asked = tuple(object_questions(choice("unseen"), thing, few))
    yield Task(f"one object, unseen names listed/{split}", "object", split, thing, asked, UNSEEN)
    asked = tuple(style_questions(choice("style with LoRA"), style, few))
    yield Task(f"one style, then a LoRA/{split}", "style", split, style, asked, lora=True)
    asked = tuple(object_questions(choice("object with LoRA"), thing, few))
    yield Task(f"one object, then a LoRA/{split}", "object", split, thing, asked, lora=True)


def all_tasks() -> tuple[Task, ...]:
    """Return every task."""
    found = [task for split in SPLITS for task in split_tasks(split, FULL, 3)]
    hard = [task for split in SPLITS for task in hard_tasks(split, FULL)]
    return (*found, *(curve_task(count, FULL) for count in CURVE), *hard)


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
