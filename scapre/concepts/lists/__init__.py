"""Lists of names: those bundled in this folder, and text files and tables in a folder of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import ScaPreError, shorten
from ..listed import Choice, read_listed
from ..text import MOST_BYTES, decode, named

_BUNDLED = Path(__file__).parent
_PREFIX = "bundled: "
_SUFFIXES = (".txt", ".csv", ".tsv")  # in small or capital letters


@dataclass(frozen=True)
class Lists:
    """The lists that a host offers, by the names they are chosen by.

    Attributes:
        root: Folder of the user's own lists; it need not be there.
        place: What messages call that folder.
        again: How the user looks into it again, for messages.
    """

    root: Path
    place: str
    again: str

    def sources(self) -> list[str]:
        """The bundled lists and the user's own."""
        found = (p for p in self.root.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file() and self._inside(p))
        names = sorted(path.relative_to(self.root).as_posix() for path in found)
        return [*(_PREFIX + path.stem for path in sorted(_BUNDLED.glob("*.txt"))), *names]

    def path(self, source: str) -> Path:
        """The file behind a choice; links and dots may not lead out of the allowed folder.

        Raises:
            ScaPreError: If there is no such list.
        """
        if source.startswith(_PREFIX):
            root, path = _BUNDLED, _BUNDLED / f"{source.removeprefix(_PREFIX)}.txt"
        else:
            root, path = self.root, self.root / source
        if not _is_inside(path, root) or path.suffix.lower() not in _SUFFIXES:
            raise ScaPreError(
                f"source: {shorten(source)} is not a .txt, .csv or .tsv file in {self.place}. Put the list there."
            )
        if not path.is_file():
            raise ScaPreError(f"source: {shorten(source)} does not exist. {self.again} and choose again.")
        return path

    def text(self, source: str) -> str:
        """What a list says.

        Raises:
            ScaPreError: If there is no such list, or it cannot be read as text.
        """
        try:
            with self.path(source).open("rb") as file:
                return decode(file.read(MOST_BYTES + 1), _where(source))
        except OSError as error:
            raise ScaPreError(
                f"source: {shorten(source)} cannot be read ({error.strerror}). Check its permissions."
            ) from None

    def read(self, source: str, choice: Choice) -> tuple[tuple[str, ...], str]:
        """The lines of a list, and what it looks like; see `read_listed`.

        Raises:
            ScaPreError: If there is no such list, it cannot be read, or it can be meant in several ways.
        """
        return read_listed(self.text(source), _where(source), choice)

    def _inside(self, path: Path) -> bool:
        return _is_inside(path, self.root)


def _where(source: str) -> str:
    return named("source", source)


def _is_inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())
