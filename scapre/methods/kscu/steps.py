"""At which step of a picture each iteration trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

_LATEST = 5  # steps before the end: the first key step grows no further


class Entry(NamedTuple):
    """One entry of the table.

    Attributes:
        step: Of a picture, counted from the noise.
        picture: Number of the trajectory that it is on; the next entry of one goes on from the latents of this one.
    """

    step: int
    picture: int


def key_steps(first: int, steps: int, passes: int) -> Iterator[Entry]:
    """The Key Step Table of the paper, without end: [S .. T - 1] again and again, S one later after every few passes.

    S stays below T - 5, as in the paper (45 of 50); then the table begins anew.

    Args:
        first: S at the beginning.
        steps: T, of a picture.
        passes: After which S grows.
    """
    picture = 0
    while True:
        for start in range(first, max(first + 1, steps - _LATEST)):
            for _ in range(passes):
                yield from (Entry(step, picture) for step in range(start, steps))
                picture += 1


def any_steps(first: int, steps: int, seed: int) -> Iterator[Entry]:
    """Any step from `first` on, each of a picture of its own, without end: ESD's."""
    generator, picture = torch.Generator().manual_seed(seed), 0
    while True:
        yield Entry(int(torch.randint(first, steps, (), generator=generator)), picture)
        picture += 1
