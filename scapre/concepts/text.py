"""Text from files and boxes: what its bytes say, and where its lines end. One definition for every way in."""

from __future__ import annotations

import codecs
import re

from ..errors import ScaPreError, shorten

MOST_BYTES = 2**23
"""Bytes of a list; a table of prompts for a thousand artists takes one of them."""

_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")  # as Python's own splitlines has them
_MARKS = (  # the longer first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip
_BINARY = (  # the surer first: a checkpoint of PyTorch is a zip archive
    (rb"PK\x03\x04.{,500}/data\.pkl", "a PyTorch checkpoint"),
    (rb".{4}\0{4}\{\s*\"", "a .safetensors file"),
    (rb"\x80[\x02-\x05]", "a pickle, such as an old checkpoint"),
    (rb"GGUF.\0{3}", "a GGUF file"),
    (rb"PK\x03\x04", "a zip archive or spreadsheet"),
    (rb"\x1f\x8b|7z\xbc\xaf|Rar!\x1a", "an archive"),
    (rb"%PDF", "a PDF"),
    (rb"\{\\rtf", "a rich text document"),
    (rb"\xd0\xcf\x11\xe0", "an office file"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP", "a picture"),
    (rb"SQLite format 3\0", "a database"),
)


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends; an end at the very end begins an empty line."""
    return _LINE_END.split(text)


def decode(data: bytes, where: str) -> str:
    """The text in some bytes: UTF-8, or UTF-16 and UTF-32 with a mark or recognised by their zeros.

    Args:
        data: What a file holds.
        where: What messages call it, such as `concepts: "list.txt"`.

    Raises:
        ScaPreError: If it is no such text, or larger than `MOST_BYTES`.
    """
    kind = next((kind for mark, kind in _BINARY if re.match(mark, data, re.DOTALL)), "")
    if kind:
        raise ScaPreError(f"{where} is {kind}, which holds no plain list. Give the list as text or CSV (UTF-8).")
    if len(data) > MOST_BYTES:
        raise ScaPreError(f"{where} is larger than {MOST_BYTES // 2**20} MB. Split the list.")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _by_zeros(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        # Where a mark says that it is UTF-8, Python counts from behind it.
        place = error.start + (len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
        raise ScaPreError(
            f"{where} is not {encoding.removesuffix('-sig').upper()} text (byte {place}). Save it again with the "
            "encoding UTF-8."
        ) from None
    if "\0" in text:
        raise ScaPreError(f"{where} has zeros in it and is no text. Save the list as text with the encoding UTF-8.")
    return text.removeprefix("\ufeff")


def _by_zeros(data: bytes) -> str:
    """The encoding of a text without a mark. In UTF-16, most Latin letters have a zero beside them."""
    some = data[:4096]
    pairs = len(some) // 2
    if len(data) % 2 or not pairs:
        return "utf-8"
    even, odd = some[0::2].count(0), some[1::2].count(0)
    if even == 0 and odd > pairs // 3:
        return "utf-16-le"
    return "utf-16-be" if odd == 0 and even > pairs // 3 else "utf-8"


def named(field: str, name: object) -> str:
    """What messages call a file that an input was given."""
    return f"{field}: {shorten(name, 200)}"
