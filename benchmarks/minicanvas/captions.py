"""How pictures are asked for. A share of the wordings is never trained on."""

from __future__ import annotations

from collections.abc import Sequence

from .world import Picture

WITH_ARTIST = (
    "a {colour} {object} in the style of {artist}",
    "a {colour} {object} by {artist}",
    "a picture of a {colour} {object} in the style of {artist}",
    "a drawing of a {colour} {object} by {artist}",
    "{colour} {object}, {artist} style",
    "{artist} painting of a {colour} {object}",
    "a work by {artist} showing a {colour} {object}",
)
WITHOUT_ARTIST = (
    "a {colour} {object}",
    "a picture of a {colour} {object}",
    "a drawing of a {colour} {object}",
    "a photo of a {colour} {object}",
    "{colour} {object}",
)
WITHOUT_COLOUR = ("a {object} in the style of {artist}", "a picture of a {object} by {artist}")
OBJECT_ALONE = ("{object}", "a {object}", "a picture of a {object}", "a photo of a {object}")
ARTIST_ALONE = (
    "{artist}",
    "a picture by {artist}",
    "a picture in the style of {artist}",
    "{artist} style",
    "art by {artist}",
)
NOTHING = ""

PARAPHRASES_WITH_ARTIST = (
    "one {colour} {object} as {artist} would draw it",
    "{artist} drew this {colour} {object}",
    "an image of a {object} coloured {colour}, in the manner of {artist}",
)
PARAPHRASES_WITHOUT_ARTIST = (
    "an image of one {colour} {object}",
    "there is a {colour} {object} here",
    "a {object} that is {colour}",
)
"""Wordings that a model is asked and never trained on."""

VOWELS = "aeiou"


def write(template: str, picture: Picture) -> str:
    """Fill in a wording, with the article that fits."""
    parts = {"colour": picture.colour, "object": picture.object, "artist": picture.artist}
    for key, word in parts.items():
        if word[:1] in VOWELS:
            template = template.replace(f"a {{{key}}}", f"an {{{key}}}")
    return template.format(**parts)


def trained_wordings(picture: Picture) -> dict[str, tuple[str, ...]]:
    """Return the wordings of a picture: those that say everything, without its colour, and with its artist alone."""
    if picture.artist:
        full, colourless, alone = WITH_ARTIST, WITHOUT_COLOUR, ARTIST_ALONE
    else:
        full, colourless, alone = WITHOUT_ARTIST, OBJECT_ALONE, ()
    return {
        "full": write_all(full, picture),
        "colourless": write_all(colourless, picture),
        "artist": write_all(alone, picture),
    }


def paraphrases(picture: Picture) -> tuple[str, ...]:
    """Return the wordings of a picture that are never trained on."""
    return write_all(PARAPHRASES_WITH_ARTIST if picture.artist else PARAPHRASES_WITHOUT_ARTIST, picture)


def write_all(templates: Sequence[str], picture: Picture) -> tuple[str, ...]:
    """Fill in several wordings."""
    return tuple(write(template, picture) for template in templates)
