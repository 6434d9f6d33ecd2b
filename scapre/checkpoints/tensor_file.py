"""Reads safetensors files from strangers: everything is checked before anything is believed or allocated."""

from __future__ import annotations

import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from .strict_json import strict_json

MOST_HEADER = 2**26
"""Bytes of a header; that of a list of 5,000 names takes 2 MB."""

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: `start` and `end` are counted from the end of the header."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int

    @classmethod
    def of(cls, dtype: torch.dtype, shape: tuple[int, ...], start: int) -> Entry:
        """The entry of a tensor that begins at `start`."""
        return cls(dtype, tuple(shape), start, start + math.prod(shape) * dtype.itemsize)


class TensorFile:
    """An open safetensors file: its texts and the places of its tensors, which are read one at a time.

    Attributes:
        metadata: The file's text entries.
        entries: Every tensor by name.
        size: Bytes of the whole file.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file and reads its header.

        The header takes up to some thirty times its size in memory while it is read; every tensor takes its own size.

        Raises:
            ScaPreError: If it cannot be read, or is no whole safetensors file.
        """
        self.path = path
        self._file = self._open()
        try:
            self.metadata, self.entries = self._header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> TensorFile:
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self._file.close()

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU, in memory of its own.

        Raises:
            ScaPreError: If there is none of this name, or the file has changed since it was opened.
        """
        if name not in self.entries:
            raise self.broken(f"it has no tensor {shorten(name)}")
        entry = self.entries[name]
        flat = torch.empty(entry.end - entry.start, dtype=torch.uint8)
        memory: Any = flat.numpy()
        if len(flat):
            try:
                self._file.seek(self._data + entry.start)
                count = self._file.readinto(memory)
            except OSError as error:
                raise self._unreadable(error) from None
            if count != len(flat):
                raise self.broken("it was cut while it was read")
        return flat.view(entry.dtype).view(entry.shape)

    def broken(self, why: str) -> ScaPreError:
        """The error for a file that is not what it should be."""
        why = "".join(char if char.isprintable() else "?" for char in why)  # it may quote the file
        return ScaPreError(
            f"file: {shorten(self.path.name)} is damaged or of another kind: {why}. Get the file again from where it "
            "came from."
        )

    def _unreadable(self, error: OSError) -> ScaPreError:
        return ScaPreError(
            f"file: {shorten(self.path)} cannot be read ({error.strerror or error}). Check the path and its rights."
        )

    def _open(self) -> BufferedReader:
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):  # opening a pipe would wait for ever
                raise ScaPreError(f"file: {shorten(self.path)} is not a file. Choose an edit file (.safetensors).")
            return self.path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from None
        except ValueError as error:  # such as a path with a null character
            raise error if isinstance(error, ScaPreError) else ScaPreError(f"file: {error}.") from None

    def _header(self) -> tuple[dict[str, str], dict[str, Entry]]:
        try:
            self.size = size = self._file.seek(0, 2)
            self._file.seek(0)
            length = int.from_bytes(self._file.read(8), "little")
            self._data = 8 + length
            if size < 8 or self._data > size:
                raise self.broken("it is cut short, or not a safetensors file")
            if length > MOST_HEADER:
                raise self.broken(f"its header of {length:,} bytes is larger than any edit's")
            data = self._file.read(length)
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            header = strict_json(data)
        except ValueError as error:
            raise self.broken(f"its header is not JSON ({error})") from None
        metadata = header.pop("__metadata__", {})
        if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
            raise self.broken("its metadata is not text")
        entries = {name: self._entry(name, value) for name, value in header.items()}
        self._check_places(entries, size - self._data)
        return metadata, entries

    def _entry(self, name: str, value: Any) -> Entry:
        try:
            dtype, shape, (start, end) = DTYPES[value["dtype"]], tuple(value["shape"]), value["data_offsets"]
        except (TypeError, KeyError, ValueError):
            raise self.broken(f"its header does not describe {shorten(name)} as this pack knows it") from None
        if len(shape) > 8 or not all(type(number) is int and 0 <= number < 2**48 for number in (*shape, start, end)):
            raise self.broken(f"{shorten(name)} has an impossible shape or place")
        entry = Entry(dtype, shape, start, end)
        if entry != Entry.of(dtype, shape, start):
            raise self.broken(f"the size of {shorten(name)} does not fit its shape")
        return entry

    def _check_places(self, entries: Mapping[str, Entry], size: int) -> None:
        """Every byte of the data belongs to one tensor."""
        reached = 0
        for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
            if entry.start != reached:
                raise self.broken(f"{shorten(name)} overlaps another tensor, or follows a gap")
            reached = entry.end
        if reached != size:
            raise self.broken(f"it should hold {reached:,} bytes of data and holds {size:,}")
