"""Lists of names: those bundled in this folder, and text files and tables in the host's input folder."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...scapre.concepts.listed import Choice, read_listed
from ...scapre.concepts.text import MOST_BYTES, decode, named
from ...scapre.errors import ScaPreError, shorten

_BUNDLED = Path(__file__).parent
_PREFIX = "bundled: "
_SUFFIXES = (".txt", ".csv", ".tsv")  # in small or capital letters


def sources() -> list[str]:
    """The bundled lists and the lists in the host's input folder, by the names they are chosen by."""
    root = Path(folder_paths.get_input_directory())
    found = (p for p in root.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file() and _inside(p, root))
    names = sorted(path.relative_to(root).as_posix() for path in found)
    return [*(_PREFIX + path.stem for path in sorted(_BUNDLED.glob("*.txt"))), *names]


def read_list(source: str, choice: Choice) -> tuple[tuple[str, ...], str]:
    """The lines of a list, and what it looks like; see `read_listed`.

    Raises:
        ScaPreError: If there is no such list, it cannot be read, or it can be meant in several ways.
    """
    return read_listed(read_text(source), _where(source), choice)


def _where(source: str) -> str:
    return named("source", source)


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def list_path(source: str) -> Path:
    """The file behind a choice; links and dots may not lead out of the allowed folder."""
    if source.startswith(_PREFIX):
        root, path = _BUNDLED, _BUNDLED / f"{source.removeprefix(_PREFIX)}.txt"
    else:
        root = Path(folder_paths.get_input_directory())
        path = root / source
    if not _inside(path, root) or path.suffix.lower() not in _SUFFIXES:
        raise ScaPreError(
            f"source: {shorten(source)} is not a .txt, .csv or .tsv file in ComfyUI's input folder. Put the list there."
        )
    if not path.is_file():
        raise ScaPreError(f"source: {shorten(source)} does not exist. Refresh the node (key R) and choose again.")
    return path


def read_text(source: str) -> str:
    """What a list says.

    Raises:
        ScaPreError: If there is no such list, or it cannot be read as text.
    """
    try:
        with list_path(source).open("rb") as file:
            return decode(file.read(MOST_BYTES + 1), _where(source))
    except OSError as error:
        raise ScaPreError(
            f"source: {shorten(source)} cannot be read ({error.strerror}). Check its permissions."
        ) from None
