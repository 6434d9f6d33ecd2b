"""A file with tensors of several things, each of which is read as if it had a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from torch import Tensor

from ..checkpoints.entries import Entry
from ..checkpoints.tensor_file import TensorFile
from ..errors import ScaPreError


class Tensors(Protocol):
    """What is needed of a file to read tensors from it."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """What it says of them."""
        ...

    def read(self, name: str) -> Tensor:
        """One of them; see `TensorFile.read`."""
        ...

    def broken(self, what: str) -> ScaPreError:
        """The error for a file that holds what it should not."""
        ...


class Section:
    """Some of a file's tensors, under names of their own."""

    def __init__(self, file: TensorFile, names: Mapping[str, str]) -> None:
        """Takes the file, and the names in it by those here."""
        self._file, self._names = file, names
        self.entries: Mapping[str, Entry] = {own: file.entries[name] for own, name in names.items()}

    def read(self, name: str) -> Tensor:
        """One of them."""
        return self._file.read(self._names[name])

    def broken(self, what: str) -> ScaPreError:
        """See `Tensors`."""
        return self._file.broken(what)


def sections(file: TensorFile, prefixes: Iterable[str]) -> tuple[Section, dict[str, Section]]:
    """The tensors whose names begin with none of some prefixes, and by the prefix the others, without it."""
    names: dict[str, dict[str, str]] = {prefix: {} for prefix in prefixes}
    rest = {}
    for name in file.entries:
        prefix = next((prefix for prefix in names if name.startswith(prefix)), None)
        if prefix is None:
            rest[name] = name
        else:
            names[prefix][name.removeprefix(prefix)] = name
    return Section(file, rest), {prefix: Section(file, some) for prefix, some in names.items()}
