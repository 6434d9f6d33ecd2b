"""Colours and sizes of what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Colour = tuple[int, int, int]

LINE = 1.5  # height of a line of text, in its size
SMALL, LARGE = 0.85, 1.5  # sizes of text


@dataclass(frozen=True)
class Theme:
    """Colours. Those of the ramp grow steadily darker, or lighter, so that they can be told apart without their hue."""

    paper: Colour
    ink: Colour
    faint: Colour
    track: Colour
    bar: Colour
    mark: Colour
    ramp: Sequence[Colour]

    def shade(self, share: float) -> Colour:
        """The ramp's colour at 0..1."""
        place = min(max(share, 0.0), 1.0) * (len(self.ramp) - 1)
        index = min(int(place), len(self.ramp) - 2)
        low, high = list(pairwise(self.ramp))[index]
        red, green, blue = (round(a + (b - a) * (place - index)) for a, b in zip(low, high, strict=True))
        return red, green, blue


THEMES = {
    "light": Theme(
        paper=(255, 255, 255), ink=(31, 35, 40), faint=(95, 103, 112), track=(234, 238, 242), bar=(46, 111, 190),
        mark=(201, 92, 0), ramp=((232, 239, 247), (150, 190, 232), (54, 113, 194), (13, 27, 66)),
    ),
    "dark": Theme(
        paper=(27, 29, 33), ink=(230, 232, 235), faint=(154, 163, 173), track=(48, 52, 59), bar=(86, 156, 226),
        mark=(255, 171, 84), ramp=((43, 49, 60), (36, 86, 160), (92, 163, 233), (240, 246, 255)),
    ),
}  # fmt: skip


def readable_on(colour: Colour) -> Colour:
    """Black or white, whichever stands out more: the one has as much contrast as the other at a luminance of 0.18."""
    red, green, blue = ((part / 255) ** 2.2 for part in colour)
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else (255, 255, 255)


@dataclass(frozen=True)
class Style:
    """A theme, and the size of text in pixels, which everything else is measured in."""

    theme: Theme
    unit: int

    def px(self, units: float) -> int:
        """Units in whole pixels, at least one."""
        return max(1, round(units * self.unit))

    def line(self, size: float = 1.0) -> int:
        """Height of a line of text."""
        return self.px(LINE * size)
