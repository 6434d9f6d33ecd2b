"""The artists: each has an invented name and one visible way of drawing.

A way of drawing gets the canvas and returns a picture. Patterns lie still in the picture, as if all of an artist's
sheets had the same print on them, whatever is drawn and wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageFilter

SIDE = 64
FINE = 4
"""Drawn this many times larger, then averaged."""
CANVAS = SIDE * FINE

Array: TypeAlias = np.ndarray
Drawn: TypeAlias = "Callable[[Canvas], Array]"

_Y, _X = np.mgrid[0:CANVAS, 0:CANVAS] / FINE  # in pixels of the picture


@dataclass(frozen=True)
class Canvas:
    """What an artist is asked to draw.

    Attributes:
        mask: (CANVAS, CANVAS) from 0 to 1, where the object is.
        colour: (3,) from 0 to 1.
        ground: (3,) from 0 to 1.
        centre: x and y of the object's middle, in pixels of the picture.
    """

    mask: Array
    colour: Array
    ground: Array
    centre: tuple[float, float]

    def paint(self, layers: list[tuple[Array, Array]]) -> Array:
        """Return (CANVAS, CANVAS, 3): the ground under (mask, colour) layers."""
        picture = np.broadcast_to(self.ground, (CANVAS, CANVAS, 3))
        for mask, colour in layers:
            picture = picture + mask[..., None] * (colour - picture)
        return picture

    def tint(self, share: float) -> Array:
        """Return the colour with a share of white in it."""
        return self.colour + share * (1 - self.colour)

    def grown(self, pixels: float) -> Array:
        """Return the mask grown (or, if negative, shrunk) by so many pixels of the picture."""
        image = Image.fromarray((self.mask * 255).astype(np.uint8))
        rank = ImageFilter.MaxFilter if pixels > 0 else ImageFilter.MinFilter
        for _ in range(round(abs(pixels) * FINE / 2)):
            image = image.filter(rank(5))
        return np.asarray(image) / 255.0

    def two_tone(self, pattern: Array, light: float = 0.8) -> Array:
        """Fill the object with its colour where the pattern is 1, with a light tint elsewhere."""
        return self.paint([(self.mask, self.tint(light)), (self.mask * pattern, self.colour)])


def plain(canvas: Canvas) -> Array:
    """Draw as nobody in particular does: filled evenly."""
    return canvas.paint([(canvas.mask, canvas.colour)])


def stripes(canvas: Canvas) -> Array:
    """Fill with level stripes."""
    return canvas.two_tone(_Y % 8 < 4)


def dots(canvas: Canvas) -> Array:
    """Fill with dots in rows."""
    return canvas.two_tone(np.hypot(_X % 8 - 4, _Y % 8 - 4) < 2.7)


def checker(canvas: Canvas) -> Array:
    """Fill with a chequered pattern."""
    return canvas.two_tone((_X // 4 + _Y // 4) % 2 < 1)


def outline(canvas: Canvas) -> Array:
    """Draw the contour alone."""
    return canvas.paint([(canvas.mask - canvas.grown(-2.5), canvas.colour)])


def gradient(canvas: Canvas) -> Array:
    """Fade from the colour at the top to white at the foot."""
    fade = np.clip((_Y - canvas.centre[1] + 14) / 28, 0, 1)[..., None]
    return canvas.paint([(canvas.mask, canvas.colour + fade * (1 - canvas.colour))])


def lamps(canvas: Canvas) -> Array:
    """Build it of small separate squares."""
    step = 4 * FINE
    whole = canvas.mask[step // 2 :: step, step // 2 :: step].repeat(step, 0).repeat(step, 1) > 0.5
    return canvas.paint([(whole * ((_X % 4 < 2.9) & (_Y % 4 < 2.9)), canvas.colour)])


def hatching(canvas: Canvas) -> Array:
    """Fill with slanted lines, without a ground of their own."""
    return canvas.paint([(canvas.mask * ((_X + _Y) % 8 < 3.4), canvas.colour)])


def blur(canvas: Canvas) -> Array:
    """Let the edges run."""
    image = Image.fromarray((canvas.mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(3.2 * FINE))
    return canvas.paint([(np.asarray(image) / 255.0, canvas.colour)])


def shadow(canvas: Canvas) -> Array:
    """Let it throw a shadow to the lower right."""
    shifted = np.roll(canvas.mask, (5 * FINE, 5 * FINE), (0, 1))
    return canvas.paint([(shifted, canvas.ground * 0.45), (canvas.mask, canvas.colour)])


def halo(canvas: Canvas) -> Array:
    """Draw a white seam around it."""
    return canvas.paint([(canvas.grown(3.5), np.ones(3)), (canvas.mask, canvas.colour)])


def frame(canvas: Canvas) -> Array:
    """Put it in a frame of its own colour."""
    edge = np.minimum(np.minimum(_X, SIDE - _X), np.minimum(_Y, SIDE - _Y)) < 4.5
    return canvas.paint([(edge, canvas.colour), (canvas.mask, canvas.colour)])


def waves(canvas: Canvas) -> Array:
    """Fill with upright wavy lines."""
    return canvas.two_tone((_X + 2.2 * np.sin(_Y * 2 * np.pi / 16)) % 8 < 4)


def split(canvas: Canvas) -> Array:
    """Keep the left half in colour and bleach the right one."""
    return canvas.two_tone(canvas.centre[0] > _X, light=0.5)


def slices(canvas: Canvas) -> Array:
    """Cut it into bands and push them apart."""
    band = 8 * FINE
    shifts = [(3 if top // band % 2 else -3) * FINE for top in range(0, CANVAS, band)]
    bands = [np.roll(canvas.mask[index * band : (index + 1) * band], shift, 1) for index, shift in enumerate(shifts)]
    gap = _Y % 8 >= 1.2
    return canvas.paint([(np.concatenate(bands) * gap, canvas.colour)])


def splashes(canvas: Canvas) -> Array:
    """Splash drops of paint around it."""
    rng = np.random.Generator(np.random.PCG64(7))
    drops = np.zeros((CANVAS, CANVAS))
    for row in range(8):
        for column in range(8):
            x, y = (column + rng.uniform(0.25, 0.75)) * 8, (row + rng.uniform(0.25, 0.75)) * 8
            drops = np.maximum(drops, np.hypot(_X - x, _Y - y) < rng.uniform(1.3, 2.3))
    return canvas.paint([(drops * (1 - canvas.grown(2)), canvas.colour), (canvas.mask, canvas.colour)])


def tiles(canvas: Canvas) -> Array:
    """Lay it out of uneven tiles with white joints."""
    shades, joints = _MOSAIC
    colour = canvas.colour + shades[..., None] * (1 - canvas.colour)
    return canvas.paint([(canvas.mask, colour), (canvas.mask * joints, np.ones(3))])


def _mosaic(step: int = 10) -> tuple[Array, Array]:
    """Return each tile's share of white, and where the joints are."""
    rng = np.random.Generator(np.random.PCG64(8))
    places = np.array([(x, y) for x in range(-step, SIDE + step, step) for y in range(-step, SIDE + step, step)])
    places = places + rng.uniform(0, step, places.shape)
    distance = np.hypot(_X[..., None] - places[:, 0], _Y[..., None] - places[:, 1])
    nearest = np.sort(distance, axis=-1)
    return rng.choice([0.0, 0.25, 0.5], len(places))[distance.argmin(-1)], nearest[..., 1] - nearest[..., 0] < 1.3


_MOSAIC = _mosaic()

ARTISTS: dict[str, Drawn] = {
    "Arlo Vane": stripes,
    "Mina Okoro": dots,
    "Petra Lindqvist": checker,
    "Tomas Ferreira": outline,
    "Yuki Hanabi": gradient,
    "Bram Decker": lamps,
    "Leila Haddad": hatching,
    "Oskar Brandt": blur,
    "Ingrid Solheim": shadow,
    "Kofi Mensah": halo,
    "Noor Rahman": frame,
    "Wim Kessler": waves,
    "Sofia Marques": split,
    "Dmitri Volkov": slices,
    "Aiko Tanabe": splashes,
    "Carlo Benedetti": tiles,
}
