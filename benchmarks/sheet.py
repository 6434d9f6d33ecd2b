"""Draw pictures beside each other, with captions."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

SMALLEST_SIDE = 256
MARGIN, TEXT_SIZE = 12, 16
PAPER, INK, FAINT, RULE = "white", "black", "dimgray", "silver"
MOST_ROWS = 5


@dataclass(frozen=True)
class Row:
    """A line of the sheet.

    Attributes:
        caption: written above it.
        pictures: one encoded picture for each column.
        notes: what is written under each of them, if anything.
    """

    caption: str
    pictures: Sequence[bytes]
    notes: Sequence[str] = ()


def carrying(workflow: Mapping[str, Any]) -> PngInfo:
    """Return what a PNG is saved with so that it opens as this workflow when it is dropped on the canvas."""
    about = PngInfo()
    about.add_text("workflow", json.dumps(workflow))
    return about


def draw_sheet(columns: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """Draw a table of pictures, its rows in two blocks beside each other where there are many.

    Args:
        columns: the headings.
        rows: at least one.
    """
    half = -(-len(rows) // 2) if len(rows) > MOST_ROWS else len(rows)
    blocks = [_draw_block(columns, rows[start : start + half]) for start in range(0, len(rows), half)]
    sheet = Image.new("RGB", (sum(block.width for block in blocks), max(block.height for block in blocks)), PAPER)
    left = 0
    for block in blocks:
        sheet.paste(block, (left, 0))
        left += block.width
    return sheet


def _draw_block(columns: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    pictures = [[enlarge(Image.open(io.BytesIO(data)).convert("RGB")) for data in row.pictures] for row in rows]
    width = max(picture.width for row in pictures for picture in row)
    height = max(picture.height for row in pictures for picture in row)
    font = ImageFont.load_default(TEXT_SIZE)
    line = TEXT_SIZE + MARGIN // 2
    under = line if any(row.notes for row in rows) else 0
    head, step = line + 2 * MARGIN, height + line + under + MARGIN
    sheet = Image.new("RGB", (len(columns) * (width + MARGIN) + MARGIN, head + len(rows) * step), PAPER)
    draw = ImageDraw.Draw(sheet)
    lefts = [MARGIN + index * (width + MARGIN) for index in range(len(columns))]
    for left, heading in zip(lefts, columns, strict=True):
        draw.text((left, MARGIN), shorten(heading, font, width), INK, font)
    draw.line((MARGIN, head - MARGIN, sheet.width - MARGIN, head - MARGIN), RULE)
    for index, row in enumerate(rows):
        top = head + index * step
        draw.text((MARGIN, top), shorten(row.caption, font, sheet.width - 2 * MARGIN), INK, font)
        for left, picture in zip(lefts, pictures[index], strict=True):
            sheet.paste(picture, (left, top + line))
        for left, note in zip(lefts, row.notes, strict=False):
            draw.text((left, top + line + height), shorten(note, font, width), FAINT, font)
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
