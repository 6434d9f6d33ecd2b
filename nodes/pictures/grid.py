"""A sheet of pictures in pairs: before and after of each prompt, with its caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ...scapre.errors import ScaPreError
from .lettering import Font, font_for, printable, wrap

_PAPER, _INK = (255, 255, 255), (34, 34, 34)
_READABLE = 256  # pixels: a narrower picture is enlarged, so that a caption has room below it
_SMALLEST_TEXT = 14
_CAPTION_LINES = 2
_MOST_SIDE, _MOST_PIXELS = 16_384, 2**27  # what viewers open, and half a gigabyte

Pair = tuple[Image.Image, Image.Image]


@dataclass(frozen=True)
class Sheet:
    """Where everything is on a sheet, in pixels.

    Attributes:
        picture: Width and height of a picture as it is shown.
        shape: Pairs in a row, and rows.
        font: For headings and captions.
        captions: Lines of each pair's caption.
        headed: Whether there are headings.
    """

    picture: tuple[int, int]
    shape: tuple[int, int]
    font: Font
    captions: Sequence[Sequence[str]]
    headed: bool

    @property
    def gap(self) -> int:
        """Between the pictures of a pair."""
        return max(4, self.picture[0] // 64)

    @property
    def space(self) -> int:
        """Around a pair."""
        return 4 * self.gap

    @property
    def line(self) -> int:
        """Height of a line of text."""
        return _text_size(self.picture[0]) * 4 // 3

    @property
    def top(self) -> int:
        """Where the first row of pictures begins."""
        return self.space + (self.line if self.headed else 0)

    @property
    def step(self) -> tuple[int, int]:
        """From a pair to the next one beside it and below it."""
        lines = max(map(len, self.captions))
        below = self.gap + lines * self.line if lines else 0
        return 2 * self.picture[0] + self.gap + self.space, self.picture[1] + below + self.space

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole."""
        return self.space + self.shape[0] * self.step[0], self.top + self.shape[1] * self.step[1]

    def corner(self, index: int) -> tuple[int, int]:
        """Left and upper edge of a pair."""
        row, column = divmod(index, self.shape[0])
        return self.space + column * self.step[0], self.top + row * self.step[1]


def draw_grid(pairs: Sequence[Pair], captions: Sequence[str], headings: tuple[str, str], columns: int) -> Image.Image:
    """Draws pairs side by side, row by row.

    Args:
        pairs: Before and after, RGB. All are shown in the size of the first; others are fitted into it with margins.
        captions: What stands below each pair, at most two lines; none of it needs to be there.
        headings: What stands above the pictures of the first row.
        columns: Pairs in a row.

    Raises:
        ScaPreError: If the sheet would be too large to be opened.
    """
    sheet = _arrange(pairs[0][0].size, len(pairs), captions, headings, columns)
    whole = Image.new("RGB", sheet.size, _PAPER)
    pen = ImageDraw.Draw(whole)
    for column in range(sheet.shape[0] if sheet.headed else 0):
        _write_headings(pen, sheet, sheet.corner(column), headings)
    for index, pair in enumerate(pairs):
        left, top = sheet.corner(index)
        for number, picture in enumerate(pair):
            whole.paste(_fitted(picture, sheet.picture), (left + number * (sheet.picture[0] + sheet.gap), top))
        _write_caption(pen, sheet, (left, top), sheet.captions[index])
    return whole


def _arrange(
    size: tuple[int, int], pairs: int, captions: Sequence[str], headings: tuple[str, str], columns: int
) -> Sheet:
    columns = min(columns, pairs)
    factor = -(-_READABLE // size[0])
    picture = factor * size[0], factor * size[1]
    font = font_for(printable("".join([*captions, *headings])), _text_size(picture[0]))
    lines = [wrap(caption, font, 2 * picture[0], _CAPTION_LINES) for caption in captions]
    shape = columns, -(-pairs // columns)
    sheet = Sheet(picture, shape, font, lines + [[]] * (pairs - len(lines)), any(map(str.strip, headings)))
    return _checked(sheet)


def _checked(sheet: Sheet) -> Sheet:
    width, height = sheet.size
    if max(width, height) > _MOST_SIDE or width * height > _MOST_PIXELS:
        raise ScaPreError(
            f"columns: with {sheet.shape[0]} the grid would be {width:,} x {height:,} pixels. Choose columns so that "
            "it is closer to a square, or give it fewer or smaller pictures."
        )
    return sheet


def _text_size(width: int) -> int:
    return max(_SMALLEST_TEXT, width // 20)


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture as large as it fits, whole pixels where it divides the size, in the middle of a sheet of that size."""
    scale = min(size[0] / picture.width, size[1] / picture.height)
    shown = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    smooth = Image.Resampling.NEAREST if scale.is_integer() else Image.Resampling.LANCZOS
    paper = Image.new("RGB", size, _PAPER)
    paper.paste(picture.resize(shown, smooth), ((size[0] - shown[0]) // 2, (size[1] - shown[1]) // 2))
    return paper


def _write_headings(pen: ImageDraw.ImageDraw, sheet: Sheet, corner: tuple[int, int], headings: tuple[str, str]) -> None:
    width = sheet.picture[0]
    for number, heading in enumerate(headings):
        middle = corner[0] + number * (width + sheet.gap) + width // 2
        for text in wrap(heading, sheet.font, width, 1):
            pen.text((middle, corner[1] - sheet.line), text, _INK, sheet.font, anchor="ma")


def _write_caption(pen: ImageDraw.ImageDraw, sheet: Sheet, corner: tuple[int, int], lines: Sequence[str]) -> None:
    middle = corner[0] + sheet.picture[0] + sheet.gap // 2
    first = corner[1] + sheet.picture[1] + sheet.gap
    for number, text in enumerate(lines):
        pen.text((middle, first + number * sheet.line), text, _INK, sheet.font, anchor="ma")
