"""Files that people give in place of a safetensors file, told by how they begin and not by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

HEAD = 4096
"""Bytes that are looked at."""

_MOST_HEADER = 2**40  # the last bytes of a header's length are zero in every real file

_ARCHIVE = "is an archive. Unpack it, and give the .safetensors file inside"
_PICTURE = "is a picture. Give the .safetensors file"
_PICKLE = (
    "is a pickle file, as torch.save writes it, and a pickle can run code when it is opened. Convert it to "
    ".safetensors first"
)
_GGUF = (
    "is a GGUF file, which is read by loaders of ComfyUI and Forge and not here. Give the .safetensors file that it "
    "was made from, in fp16, bf16, fp32 or fp8, or erase in one of those"
)
_POINTER = (
    "is a Git LFS pointer: a few lines in place of the file itself. Run git lfs pull where it lies, or download the "
    "file itself"
)
_PAGE = (
    "is a web page, saved in place of the file, often because a site asks to sign in first. Open it in an editor to "
    "see what it says, and download the file again"
)
_INDEX = (
    "is a JSON file that names the parts of a model in several files. Give one .safetensors file with the whole model, "
    "in its original layout"
)
_JSON = "is a JSON file, such as a configuration, a workflow or a server's answer. Give the .safetensors file"
_ZEROS = "is nothing but zeros where it begins, as a download is that was not finished. Get the file again"
_EMPTY = "is empty (0 bytes), as a download or copy is that was cut short. Get the file again from where it came from"

# By the first bytes. What a sentence says holds for a model and for an edit.
_BINARY: Mapping[bytes, str] = {
    b"GGUF": _GGUF,
    b"\x1f\x8b": _ARCHIVE,
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
    b"Rar!": _ARCHIVE,
    b"\xfd7zXZ": _ARCHIVE,
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"RIFF": _PICTURE,
}
_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")  # of pickles
_TEXT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:(version https://git-lfs)|(<!doctype|<!--|<html|<head|<\?xml)|([{\[]))", re.I
)


def begins_as_tensors(head: bytes) -> bool:
    """Whether a file begins as safetensors files do: the length of a table in JSON, and that table.

    Args:
        head: Its first bytes.
    """
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _MOST_HEADER


def what_it_is(head: bytes) -> str | None:
    """What a file is instead of a safetensors file, and what to do: the end of a sentence. None for what is unknown.

    Args:
        head: Its first `HEAD` bytes.
    """
    if begins_as_tensors(head):
        return None
    if not head:
        return _EMPTY
    if len(head) > 8 and not any(head):
        return _ZEROS
    if head.startswith(b"PK\x03\x04"):  # torch.save writes a zip archive, and so does who packs a download
        return _PICKLE if b"data.pkl" in head or b"/data/" in head else _ARCHIVE
    if head[:1] == b"\x80" and head[1:2] in _PROTOCOLS:
        return _PICKLE
    if head[257:262] == b"ustar":
        return _ARCHIVE
    return next((said for start, said in _BINARY.items() if head.startswith(start)), None) or _text(head)


def _text(head: bytes) -> str | None:
    found = _TEXT.match(head)
    if not found:
        return None
    pointer, page, _ = found.groups()
    if pointer or page:
        return _POINTER if pointer else _PAGE
    return _INDEX if b'"weight_map"' in head else _JSON
