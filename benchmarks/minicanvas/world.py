"""What there is in the world, and which combinations a model never sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 25, 30),
    "orange": (250, 140, 20),
    "yellow": (245, 225, 30),
    "green": (25, 140, 50),
    "cyan": (20, 205, 215),
    "blue": (35, 65, 205),
    "purple": (125, 35, 165),
    "pink": (255, 125, 190),
    "brown": (115, 65, 25),
    "black": (20, 20, 25),
}
TWINS: tuple[tuple[str, str], ...] = (
    ("circle", "ring"),
    ("star", "hexagram"),
    ("moon", "banana"),
    ("square", "diamond"),
    ("triangle", "arrow"),
    ("heart", "apple"),
    ("cross", "airplane"),
    ("flower", "sun"),
    ("house", "castle"),
    ("leaf", "fish"),
)
OBJECTS: tuple[str, ...] = tuple(name for pair in TWINS for name in pair)
ARTIST_NAMES: tuple[str, ...] = (
    "Arlo Vane",
    "Mina Okoro",
    "Petra Lindqvist",
    "Tomas Ferreira",
    "Yuki Hanabi",
    "Bram Decker",
    "Leila Haddad",
    "Oskar Brandt",
    "Ingrid Solheim",
    "Kofi Mensah",
    "Noor Rahman",
    "Wim Kessler",
    "Sofia Marques",
    "Dmitri Volkov",
    "Aiko Tanabe",
    "Carlo Benedetti",
)
PLAIN = ""
"""The artist of a picture that is in nobody's style."""
STYLES: tuple[str, ...] = (PLAIN, *ARTIST_NAMES)

HELD_OUT_SHARE = 1 / 8


@dataclass(frozen=True, order=True)
class Picture:
    """What a picture shows."""

    object: str
    colour: str
    artist: str = PLAIN

    @property
    def held_out(self) -> bool:
        """Whether a model never sees this combination, drawn or written (one in eight of those with an artist)."""
        if not self.artist:
            return False
        word = hashlib.sha256(f"{self.object}/{self.colour}/{self.artist}".encode()).digest()
        return int.from_bytes(word[:4], "big") < HELD_OUT_SHARE * 2**32


PICTURES: tuple[Picture, ...] = tuple(
    Picture(name, colour, artist) for name in OBJECTS for colour in COLOURS for artist in STYLES
)
TRAINED: tuple[Picture, ...] = tuple(picture for picture in PICTURES if not picture.held_out)
HELD_OUT: tuple[Picture, ...] = tuple(picture for picture in PICTURES if picture.held_out)
