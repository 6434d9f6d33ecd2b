"""Whose turn it is: the concepts of an iteration, and the texts it trains on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch

from .denoiser import TextNoise
from .losses import LOSSES
from .prompts import VARIANTS, Lesson
from .steps import Entry
from .trajectory import number, seeded


class Turns:
    """Names take turns, picture by picture, in an order of chance; in the last iterations their prompts are varied."""

    def __init__(self, lessons: Sequence[Lesson], settings: Any, seed: int) -> None:
        """Takes what there is to learn."""
        self._lessons, self._settings, self._seed = lessons, settings, seed

    def of(self, entry: Entry, done: int) -> tuple[list[Lesson], list[str], TextNoise | None]:
        """Concepts of the pictures of an entry, their prompts, and noise on them.

        Args:
            entry: Of the table.
            done: Iterations before it.
        """
        s, lessons, texts = self._settings, [], []
        late = done >= s.iterations * (1 - s.augmented)
        varied = seeded(self._seed, done, 4)
        for row in range(s.batch):
            turn, place = divmod(entry.picture * s.batch + row, len(self._lessons))
            order = torch.randperm(len(self._lessons), generator=seeded(self._seed, turn, 2))
            lesson = self._lessons[int(order[place])]
            wording = number(seeded(self._seed, entry.picture, row, 5)) % len(lesson.prompts)
            lessons.append(lesson)
            texts.append(lesson.variants[wording][number(varied) % VARIANTS] if late else lesson.prompts[wording])
        return lessons, texts, TextNoise(s.noise, number(varied)) if late and s.noise else None

    def texts(self, done: int) -> tuple[str, ...]:
        """All that is left to train on, and what takes its place, each once.

        Args:
            done: Iterations that an earlier run has done.
        """
        found: dict[str, None] = {}
        table = LOSSES[self._settings.loss].table(self._settings, self._seed)
        for place, entry in enumerate(islice(table, self._settings.iterations)):
            if place >= done:
                lessons, texts, _ = self.of(entry, place)
                found |= dict.fromkeys([*texts, *(lesson.instead for lesson in lessons)])
        return tuple(found)
