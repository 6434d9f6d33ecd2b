"""What the header of a safetensors file says of a tensor: how its values are stored, its shape, and where it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

# Bits of a value, and what torch calls the dtype. An older torch lacks some; of those that pack several values into a
# byte, a tensor has another shape than the header says, so none of them is read.
_STORED = {
    "F64": (64, "float64"),
    "F32": (32, "float32"),
    "F16": (16, "float16"),
    "BF16": (16, "bfloat16"),
    "F8_E4M3": (8, "float8_e4m3fn"),
    "F8_E5M2": (8, "float8_e5m2"),
    "F8_E4M3FNUZ": (8, "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": (8, "float8_e5m2fnuz"),
    "F8_E8M0": (8, "float8_e8m0fnu"),
    "F6_E2M3": (6, ""),
    "F6_E3M2": (6, ""),
    "F4": (4, ""),
    "C64": (64, "complex64"),
    "I64": (64, "int64"),
    "I32": (32, "int32"),
    "I16": (16, "int16"),
    "I8": (8, "int8"),
    "U64": (64, "uint64"),
    "U32": (32, "uint32"),
    "U16": (16, "uint16"),
    "U8": (8, "uint8"),
    "BOOL": (8, "bool"),
}

_BITS = {name: bits for name, (bits, _) in _STORED.items()}

DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, its_name) for name, (_, its_name) in _STORED.items() if its_name and hasattr(torch, its_name)
}
"""By the name in a file: the dtypes that this torch can hold."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: `start` and `end` are counted from the end of the header.

    Attributes:
        kind: The dtype as files call it; one that is unknown here is no damage.
        shape: As the header has it.
        start: Its first byte.
        end: The byte after its last.
    """

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int

    @classmethod
    def of(cls, dtype: torch.dtype, shape: tuple[int, ...], start: int) -> Entry:
        """The entry of a tensor that begins at `start`."""
        return cls(_NAMES[dtype], tuple(shape), start, start + math.prod(shape) * dtype.itemsize)

    @classmethod
    def from_header(cls, told: Any) -> Entry:
        """The entry that a table in a header describes.

        Raises:
            LookupError, TypeError, ValueError: If it is no such table.
        """
        kind, shape, (start, end) = told["dtype"], tuple(told["shape"]), told["data_offsets"]
        if not isinstance(kind, str):
            raise TypeError("the dtype is no text")
        return cls(kind, shape, start, end)

    def at(self, start: int) -> Entry:
        """The same tensor in another place."""
        return replace(self, start=start, end=start + self.size)

    @property
    def dtype(self) -> torch.dtype | None:
        """What torch calls the dtype, None where it cannot hold such values."""
        return DTYPES.get(self.kind)

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return self.end - self.start

    @property
    def bits(self) -> int:
        """Of one value; of an unknown dtype as the size tells."""
        return _BITS.get(self.kind, self.size * 8 // max(1, math.prod(self.shape)))

    @property
    def possible(self) -> bool:
        """Whether shape and place are numbers that a file can have."""
        numbers = (*self.shape, self.start, self.end)
        sizes = all(type(number) is int and 0 <= number < 2**48 for number in numbers)
        return sizes and len(self.shape) <= 8 and self.start <= self.end

    @property
    def fits(self) -> bool:
        """Whether the size is that of the shape; what an unknown dtype takes is not known."""
        return self.kind not in _BITS or self.size * 8 == math.prod(self.shape) * _BITS[self.kind]
