"""Draw one picture of the world: an object in a colour, by an artist or by nobody in particular."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .artists import ARTISTS, CANVAS, FINE, SIDE, Array, Canvas, plain
from .shapes import SHAPES, draw_mask
from .world import COLOURS, Picture

GROUNDS = (0.74, 0.86)
RADII = (18.0, 23.0)
MARGIN = 4


def draw(picture: Picture, random: np.random.Generator) -> Array:
    """Draw a picture, at a place and size of chance.

    Returns:
        (SIDE, SIDE, 3) bytes.
    """
    radius = random.uniform(*RADII)
    reach = SIDE / 2 - MARGIN - radius
    x, y = SIDE / 2 + random.uniform(-reach, reach, 2)
    mask = draw_mask(SHAPES[picture.object], CANVAS, (x * FINE, y * FINE), radius * FINE)
    colour = np.array(COLOURS[picture.colour]) / 255 + random.uniform(-0.02, 0.02, 3)
    ground = np.full(3, random.uniform(*GROUNDS))
    canvas = Canvas(np.asarray(mask) / 255.0, colour.clip(0, 1), ground, (x, y))
    fine = (ARTISTS[picture.artist] if picture.artist else plain)(canvas)
    small = fine.reshape(SIDE, FINE, SIDE, FINE, 3).mean((1, 3))
    return (small * 255).round().clip(0, 255).astype(np.uint8)


def draw_all(pictures: Sequence[Picture], seed: int) -> Array:
    """Draw pictures; each one's chance depends on the seed and its position alone.

    Returns:
        (len(pictures), SIDE, SIDE, 3) bytes.
    """
    seeds = np.random.SeedSequence(seed).spawn(len(pictures))
    random = (np.random.Generator(np.random.PCG64(child)) for child in seeds)
    return np.stack([draw(picture, chance) for picture, chance in zip(pictures, random, strict=True)])
