"""Draw pictures beside each other, with captions."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

SMALLEST_SIDE = 256
MARGIN, TEXT_SIZE = 12, 16
PAPER, INK, RULE = "white", "black", "silver"


def draw_sheet(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[bytes]]]) -> Image.Image:
    """Draw a table of pictures.

    Args:
        columns: the headings.
        rows: for each row its caption, written above it, and one encoded picture for each column.
    """
    pictures = [[enlarge(Image.open(io.BytesIO(data)).convert("RGB")) for data in row] for _, row in rows]
    width = max(picture.width for row in pictures for picture in row)
    height = max(picture.height for row in pictures for picture in row)
    font = ImageFont.load_default(TEXT_SIZE)
    line = TEXT_SIZE + MARGIN // 2
    head, step = line + 2 * MARGIN, height + line + MARGIN
    sheet = Image.new("RGB", (len(columns) * (width + MARGIN) + MARGIN, head + len(rows) * step), PAPER)
    draw = ImageDraw.Draw(sheet)
    lefts = [MARGIN + index * (width + MARGIN) for index in range(len(columns))]
    for left, heading in zip(lefts, columns, strict=True):
        draw.text((left, MARGIN), shorten(heading, font, width), INK, font)
    draw.line((MARGIN, head - MARGIN, sheet.width - MARGIN, head - MARGIN), RULE)
    for index, (caption, _) in enumerate(rows):
        top = head + index * step
        draw.text((MARGIN, top), shorten(caption, font, sheet.width - 2 * MARGIN), INK, font)
        for left, picture in zip(lefts, pictures[index], strict=True):
            sheet.paste(picture, (left, top + line))
    return sheet


def enlarge(picture: Image.Image) -> Image.Image:
    """Repeat the pixels of a small picture until it can be seen."""
    factor = max(1, SMALLEST_SIDE // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def shorten(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Cut a caption that is too long for its row."""
    if font.getlength(text) <= width:
        return text
    text = text[:width]  # a letter is at least a pixel wide
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."
