"""The objects, as outlines in a square from -1 to 1 (x to the right, y down).

An outline is a list of strokes that are painted one after the other: ("+" or "-", polygon) adds a region or takes it
away. They come in pairs that are easily confused, because an edit is judged by what it leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Literal, TypeAlias

from PIL import Image, ImageDraw

Point: TypeAlias = tuple[float, float]
Polygon: TypeAlias = list[Point]
Stroke: TypeAlias = tuple[Literal["+", "-"], Polygon]

ROUND = 48
"""Corners of a circle."""


def draw_mask(strokes: Sequence[Stroke], side: int, centre: Point, radius: float) -> Image.Image:
    """Paint an outline, white on black.

    Args:
        strokes: the outline.
        side: pixels of the picture.
        centre: where the middle of the outline goes, in pixels.
        radius: pixels from the middle to 1.
    """
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for sign, polygon in strokes:
        points = [(centre[0] + radius * x, centre[1] + radius * y) for x, y in polygon]
        draw.polygon(points, fill=255 if sign == "+" else 0)
    return mask


def ellipse(x: float = 0, y: float = 0, width: float = 1, height: float | None = None) -> Polygon:
    """Return an ellipse with these half axes."""
    height = width if height is None else height
    turns = [2 * pi * step / ROUND for step in range(ROUND)]
    return [(x + width * cos(turn), y + height * sin(turn)) for turn in turns]


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    """Return a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def spikes(count: int, inner: float) -> Polygon:
    """Return a star of `count` points whose notches lie at radius `inner`."""
    corners = [(pi * step / count - pi / 2, inner if step % 2 else 1) for step in range(2 * count)]
    return [(radius * cos(turn), radius * sin(turn)) for turn, radius in corners]


def around(count: int, distance: float, radius: float) -> list[Stroke]:
    """Return discs in a circle around the middle."""
    turns = [2 * pi * step / count - pi / 2 for step in range(count)]
    return [("+", ellipse(distance * cos(turn), distance * sin(turn), radius)) for turn in turns]


def arc(centre: Point, radius: float, start: float, end: float, steps: int = 24) -> Polygon:
    """Return points on a circle, from one angle to another, in radians."""
    turns = [start + (end - start) * step / steps for step in range(steps + 1)]
    return [(centre[0] + radius * cos(turn), centre[1] + radius * sin(turn)) for turn in turns]


def heart() -> Polygon:
    """Return the outline of a heart."""
    turns = [2 * pi * step / 60 for step in range(60)]
    curve = [(sin(t) ** 3, -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16) for t in turns]
    return [(x, y - 0.07) for x, y in curve]


def lens(half_angle: float, length: float = 1) -> Polygon:
    """Return the region between two arcs that meet at the left and the right end."""
    radius = length / sin(half_angle)
    depth = radius * cos(half_angle)
    top = arc((0, depth), radius, -pi / 2 - half_angle, -pi / 2 + half_angle)
    return top + [(-x, -y) for x, y in top]


def rays(count: int, inner: float, width: float) -> list[Stroke]:
    """Return thin triangles that point away from the middle."""
    strokes: list[Stroke] = []
    for step in range(count):
        turn = 2 * pi * step / count
        foot = [(inner * cos(turn + side), inner * sin(turn + side)) for side in (-width, width)]
        strokes.append(("+", [*foot, (cos(turn), sin(turn))]))
    return strokes


SHAPES: dict[str, list[Stroke]] = {
    "circle": [("+", ellipse(width=0.9))],
    "ring": [("+", ellipse(width=0.95)), ("-", ellipse(width=0.5))],
    "star": [("+", spikes(5, 0.42))],
    "hexagram": [("+", spikes(6, 0.58))],
    "moon": [("+", ellipse(-0.05, 0, 0.95)), ("-", ellipse(0.42, -0.1, 0.78))],
    "banana": [
        ("+", arc((0, -0.5), 1.05, 2.9, 0.2) + arc((0, -0.75), 0.82, 0.6, 2.6)),
        ("+", box(0.86, -0.75, 1.04, -0.25)),
    ],
    "square": [("+", box(-0.8, -0.8, 0.8, 0.8))],
    "diamond": [("+", [(0, -1), (0.7, 0), (0, 1), (-0.7, 0)])],
    "triangle": [("+", [(0, -0.95), (0.98, 0.8), (-0.98, 0.8)])],
    "arrow": [("+", [(0, -1), (0.85, 0.05), (-0.85, 0.05)]), ("+", box(-0.32, 0, 0.32, 1))],
    "heart": [("+", heart())],
    "apple": [
        ("+", ellipse(-0.33, 0.18, 0.6, 0.75)),
        ("+", ellipse(0.33, 0.18, 0.6, 0.75)),
        ("+", [(-0.1, -0.4), (0.05, -1), (0.28, -0.95), (0.1, -0.4)]),
    ],
    "cross": [("+", box(-0.33, -0.95, 0.33, 0.95)), ("+", box(-0.95, -0.33, 0.95, 0.33))],
    "airplane": [
        ("+", ellipse(0, 0, 0.2, 1)),
        ("+", [(0, -0.45), (1, 0.2), (1, 0.42), (0, 0.2), (-1, 0.42), (-1, 0.2)]),
        ("+", [(0, 0.55), (0.5, 0.85), (0.5, 1), (-0.5, 1), (-0.5, 0.85)]),
    ],
    "flower": [*around(5, 0.58, 0.42), ("-", ellipse(width=0.24))],
    "sun": [("+", ellipse(width=0.5)), *rays(8, 0.62, 0.28)],
    "house": [
        ("+", [(0, -1), (1, -0.2), (-1, -0.2)]),
        ("+", box(-0.75, -0.22, 0.75, 0.9)),
        ("-", box(-0.2, 0.3, 0.2, 0.9)),
    ],
    "castle": [
        ("+", box(-0.95, -0.3, 0.95, 0.9)),
        *(("+", box(x - 0.25, -0.9, x + 0.25, 0)) for x in (-0.7, 0, 0.7)),
        ("-", ellipse(0, 0.55, 0.22, 0.3)),
        ("-", box(-0.22, 0.55, 0.22, 0.92)),
    ],
    "leaf": [("+", [(y, x) for x, y in lens(1.25, 0.85)]), ("+", box(-0.12, 0.7, 0.12, 1.1))],
    "fish": [("+", [(x - 0.2, y) for x, y in lens(1.1, 0.85)]), ("+", [(0.35, 0), (1, -0.65), (1, 0.65)])],
}
"""Outline of every object; each pair of lines is a pair of twins."""
