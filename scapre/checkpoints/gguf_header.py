"""Reads what a GGUF file says of itself before its weights: a few texts and numbers, and the shapes of its tensors.

The layout is that of versions 2 and 3, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ScaPreError, shorten

_MOST = 2**25  # bytes of a header; one with a vocabulary of 256,384 pieces takes 7 MB
_MOST_ITEMS = 2**21  # values, and members of lists; that vocabulary has 800,000
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class GgufHeader:
    """What was read.

    Attributes:
        values: Texts, numbers and lists of them, by name.
        shapes: Of the tensors, as torch has them: the axis that lies closest together is the last.
    """

    values: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def read_gguf_header(path: Path) -> GgufHeader:
    """The header of a file; no weights are read.

    Raises:
        ScaPreError: If it cannot be read, or is no GGUF file.
    """
    try:
        with path.open("rb") as file:
            return _header(_Bytes(file.read(_MOST)))
    except OSError as error:
        raise ScaPreError(f"file: {shorten(path)} cannot be read ({error.strerror or error}).") from None
    except ValueError as error:
        raise ScaPreError(
            f"file: {shorten(path.name)} is damaged, or no GGUF file of version 2 or 3 ({error}). Get the file again "
            "from where it came from."
        ) from None


class _Bytes:
    """Bytes that are read one thing after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._items = data, 0, 0

    def take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise ValueError("it ends in its header, or that is larger than any text encoder's")
        return self._data[start : self._at]

    def numbers(self, kind: str, count: int = 1) -> list[Any]:
        data = self.take(struct.calcsize(f"<{kind}") * count)
        return list(struct.unpack(f"<{count}{kind}", data))

    def number(self, kind: str) -> Any:
        return self.numbers(kind)[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode()

    def value(self) -> Any:
        kind = self.number("I")
        if kind != _ARRAY:
            return self._values(kind, 1)[0]
        inner, count = self.number("I"), self.number("Q")
        return self._values(inner, count)

    def _values(self, kind: int, count: int) -> list[Any]:
        self._items += count
        if self._items > _MOST_ITEMS:
            raise ValueError("it has more values than any text encoder's")
        if kind == _STRING:
            return [self.text() for _ in range(count)]
        if kind not in _NUMBERS:
            raise ValueError(f"it has a value of an unknown kind, {kind}")
        return self.numbers(_NUMBERS[kind], count)


def _header(data: _Bytes) -> GgufHeader:
    if data.take(4) != b"GGUF" or data.number("I") not in _VERSIONS:
        raise ValueError("it begins otherwise")
    found, (tensors, values) = GgufHeader(), data.numbers("Q", 2)
    for _ in range(values):
        name = data.text()
        found.values[name] = data.value()
    if tensors > _MOST_ITEMS:
        raise ValueError("it has more tensors than any text encoder's")
    for _ in range(tensors):
        name, dimensions = data.text(), data.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor has {dimensions} axes")
        found.shapes[name] = tuple(reversed(data.numbers("Q", dimensions)))
        data.take(12)  # how its values are stored, and where
    return found
