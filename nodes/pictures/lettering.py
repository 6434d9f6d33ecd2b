"""Text on pictures: a font that has the characters, and lines that fit a width."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator

from PIL import ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# PIL's own font knows little more than ASCII. These come with Linux, Windows and macOS, the wider ones last.
_SYSTEM_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "arial.ttf", "Arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "malgun.ttf", "YuGothM.ttc"),
    *("PingFang.ttc", "Hiragino Sans GB.ttc", "Arial Unicode.ttf"),
)
_NOTHING = "\ue000"  # a private character, which fonts draw as the box that stands for those they lack
_ELLIPSIS = "…"


def font_for(text: str, size: int) -> Font:
    """PIL's own font, or that of the system's that has more of a text; boxes stand for what it lacks."""
    own = ImageFont.load_default(size)
    return own if text.isascii() else max([own, *_system(size)], key=lambda font: _covered(font, _letters(text)))


def is_covered(text: str) -> bool:
    """Whether some font has every character of a text."""
    return text.isascii() or _covered(font_for(text, 16), _letters(text)) == len(_letters(text))


def _letters(text: str) -> set[str]:
    return {character for character in text if not character.isspace()}


def _system(size: int) -> Iterator[Font]:
    for name in _SYSTEM_FONTS:
        try:
            yield ImageFont.truetype(name, size)
        except OSError:  # not on this system
            continue


def _covered(font: Font, letters: Collection[str]) -> int:
    box = bytes(font.getmask(_NOTHING))
    return sum(bytes(font.getmask(letter)) != box for letter in letters)


def wrap(text: str, font: Font, width: int, most: int) -> list[str]:
    """At most `most` lines of a text that are no wider than `width` pixels; an ellipsis stands for the rest.

    A word that is wider than a line is broken.
    """
    rest = " ".join(printable(text).split())
    lines: list[str] = []
    while rest and len(lines) < most - 1:
        line = _first_line(rest, font, width)
        lines.append(line)
        rest = rest[len(line) :].lstrip()
    return [*lines, _shortened(rest, font, width)] if rest else lines


def printable(text: str) -> str:
    """A text without halves of characters, which cannot be drawn."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _first_line(text: str, font: Font, width: int) -> str:
    count = _fitting(text, font, width)
    space = text.rfind(" ", 0, count + 1)
    return text[: space if space > 0 and count < len(text) else count]


def _shortened(text: str, font: Font, width: int) -> str:
    count = _fitting(text, font, width)
    if count == len(text):
        return text
    return text[: _fitting(text, font, width - font.getlength(_ELLIPSIS))].rstrip() + _ELLIPSIS


def _fitting(text: str, font: Font, width: float) -> int:
    """How many characters fit a width, at least one so that lines move on."""
    return max(1, bisect_right(range(1, len(text) + 1), width, key=lambda count: font.getlength(text[:count])))
