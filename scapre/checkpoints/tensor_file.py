"""Reads safetensors files from strangers: everything is checked before anything is believed or allocated."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from .entries import Entry
from .other_files import HEAD, begins_as_tensors, what_it_is
from .strict_json import strict_json

MOST_HEADER = 2**26
"""Bytes of a header; that of a list of 5,000 names takes 2 MB."""


class TensorFile:
    """An open safetensors file: its texts and the places of its tensors, which are read one at a time.

    Attributes:
        metadata: The file's text entries.
        entries: Every tensor by name.
        size: Bytes of the whole file.
    """

    def __init__(self, path: Path, field: str = "file") -> None:
        """Opens the file and reads its header.

        The header takes up to some thirty times its size in memory while it is read; every tensor takes its own size.

        Args:
            path: Of the file.
            field: The input that names it, for messages.

        Raises:
            ScaPreError: If it cannot be read, or is no whole safetensors file.
        """
        self.path, self.field = path, field
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
            ScaPreError: If there is none of this name, torch cannot hold its values, or the file has changed since it
                was opened.
        """
        flat, dtype = self.stored_bytes(name), self._dtype(name)
        return flat.view(dtype).view(self.entries[name].shape)

    def rows(self, name: str, numbers: Tensor) -> Tensor:
        """Some rows of a matrix, (rows, d), on the CPU: only they are read.

        Args:
            name: Of the matrix.
            numbers: (rows,) which, in any order and as often as wanted; all must be there.

        Raises:
            ScaPreError: As `read` does, and if it is no matrix.
        """
        entry, dtype = self._entry_of(name), self._dtype(name)
        if len(entry.shape) != 2:
            raise self.broken(f"{shorten(name)} is no matrix")
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < entry.shape[0]:
            raise self.broken(f"{shorten(name)} has no row {int(numbers.min())} to {int(numbers.max())}")
        width = entry.shape[1] * dtype.itemsize
        wanted, places = numbers.unique(return_inverse=True)
        found = torch.empty(len(wanted), width, dtype=torch.uint8)
        done = 0
        for first, count in _runs(wanted):
            self._fill(found[done : done + count].view(-1), entry.start + first * width)
            done += count
        return found.view(dtype)[places]

    def stored_bytes(self, name: str) -> Tensor:
        """The bytes of one tensor as they are in the file, whatever they mean: (bytes,), uint8.

        Raises:
            ScaPreError: If there is none of this name, or the file has changed since it was opened.
        """
        entry = self._entry_of(name)
        flat = torch.empty(entry.size, dtype=torch.uint8)
        self._fill(flat, entry.start)
        return flat

    def _entry_of(self, name: str) -> Entry:
        if name not in self.entries:
            raise self.broken(f"it has no tensor {shorten(name)}")
        return self.entries[name]

    def _dtype(self, name: str) -> torch.dtype:
        entry = self.entries[name]
        if entry.dtype is None:
            raise ScaPreError(
                f"{self.field}: {_quoted(name)} in {shorten(self.path.name)} is stored as {_quoted(entry.kind)}, which "
                "this pack cannot compute with. Give the same file in fp16, bf16 or fp32."
            )
        return entry.dtype

    def _fill(self, flat: Tensor, start: int) -> None:
        """Reads bytes that begin at a place in the data."""
        memory: Any = flat.numpy()
        if not len(flat):
            return
        try:
            self._file.seek(self._data + start)
            count = self._file.readinto(memory)
        except OSError as error:
            raise self._unreadable(error) from None
        if count != len(flat):
            raise self.broken("it was cut while it was read")

    def broken(self, why: str) -> ScaPreError:
        """The error for a file that is not what it should be."""
        return ScaPreError(
            f"{self.field}: {shorten(self.path.name)} is damaged or of another kind: {_printable(why)}. Get the file "
            "again from where it came from."
        )

    def _unfinished(self, wanted: str) -> ScaPreError:
        return ScaPreError(
            f"{self.field}: {shorten(self.path.name)} is cut short: it should hold {wanted} bytes and holds "
            f"{self.size:,}, so its download or copy did not finish. Get the file again from where it came from."
        )

    def _unreadable(self, error: OSError) -> ScaPreError:
        return ScaPreError(
            f"{self.field}: {shorten(self.path)} cannot be read ({error.strerror or error}). Check the path and its "
            "rights."
        )

    def _open(self) -> BufferedReader:
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):  # opening a pipe would wait for ever
                raise ScaPreError(f"{self.field}: {shorten(self.path)} is not a file. Choose a .safetensors file.")
            return self.path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from None
        except ValueError as error:  # such as a path with a null character
            raise error if isinstance(error, ScaPreError) else ScaPreError(f"{self.field}: {error}.") from None

    def _header(self) -> tuple[dict[str, str], dict[str, Entry]]:
        try:
            self.size = size = self._file.seek(0, 2)
            self._file.seek(0)
            self._check_start(self._file.read(HEAD))
            self._file.seek(8)
            data = self._file.read(self._data - 8)
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            header = strict_json(data)
        except ValueError as error:
            raise self.broken(f"its header is not JSON ({error})") from None
        told = header.pop("__metadata__", None)
        metadata = {} if told is None else told
        if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
            raise self.broken("its metadata is not text")
        entries = {name: self._entry(name, value) for name, value in header.items()}
        self._check_places(entries, size - self._data)
        return metadata, entries

    def _check_start(self, head: bytes) -> None:
        """Tells other files from damaged ones, and finds out where the data begin."""
        if said := what_it_is(head):
            raise ScaPreError(f"{self.field}: {shorten(self.path.name)} {said}.")
        length = int.from_bytes(head[:8], "little")
        self._data = 8 + length
        if self.size < 8 or self._data > self.size:
            if begins_as_tensors(head):
                raise self._unfinished(f"more than {self._data:,}")
            raise self.broken("it is cut short, or not a safetensors file")
        if length > MOST_HEADER:
            raise self.broken(f"its header of {length:,} bytes is larger than any model's or edit's")

    def _entry(self, name: str, value: Any) -> Entry:
        try:
            entry = Entry.from_header(value)
        except (TypeError, LookupError, ValueError):
            raise self.broken(f"its header does not describe {shorten(name)} as this pack knows it") from None
        if not entry.possible:
            raise self.broken(f"{shorten(name)} has an impossible shape or place")
        if not entry.fits:
            raise self.broken(f"the size of {shorten(name)} does not fit its shape")
        return entry

    def _check_places(self, entries: Mapping[str, Entry], size: int) -> None:
        """Every byte of the data belongs to one tensor."""
        reached = 0
        for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
            if entry.start != reached:
                raise self.broken(f"{shorten(name)} overlaps another tensor, or follows a gap")
            reached = entry.end
        if reached > size:
            raise self._unfinished(f"{self._data + reached:,}")
        if reached != size:
            raise self.broken(f"it should hold {reached:,} bytes of data and holds {size:,}")


def _runs(numbers: Tensor) -> Iterator[tuple[int, int]]:
    """First and count of each run of consecutive numbers, which are sorted and each there once."""
    ends = (numbers.diff() != 1).nonzero().flatten().tolist()
    for start, stop in pairwise([-1, *ends, len(numbers) - 1]):
        if stop > start:
            yield int(numbers[start + 1]), stop - start


def _quoted(text: str) -> str:
    return _printable(shorten(text))


def _printable(text: str) -> str:
    """A text without what cannot be shown: it may quote a file from strangers."""
    return "".join(char if char.isprintable() else "?" for char in text)
