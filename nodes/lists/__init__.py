"""Lists of names: those bundled in this folder, and text files in the host's input folder."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...scapre.errors import ScaPreError, shorten

_BUNDLED = Path(__file__).parent
_PREFIX = "bundled: "
_MOST_BYTES = 2**20


def sources() -> list[str]:
    """The bundled lists and the text files in the host's input folder, by the names they are chosen by."""
    root = Path(folder_paths.get_input_directory())
    found = (p for p in root.rglob("*.txt") if p.suffix == ".txt" and p.is_file() and _inside(p, root))
    names = sorted(path.relative_to(root).as_posix() for path in found)
    return [*(_PREFIX + path.stem for path in sorted(_BUNDLED.glob("*.txt"))), *names]


def read_names(source: str) -> list[str]:
    """The lines of a list that are neither empty nor comments.

    Raises:
        ScaPreError: If there is no such list, or it cannot be read as text of at most 1 MB.
    """
    return [line for line in _read(source).splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def list_path(source: str) -> Path:
    """The file behind a choice; links and dots may not lead out of the allowed folder."""
    if source.startswith(_PREFIX):
        root, path = _BUNDLED, _BUNDLED / f"{source.removeprefix(_PREFIX)}.txt"
    else:
        root = Path(folder_paths.get_input_directory())
        path = root / source
    if not _inside(path, root) or path.suffix != ".txt":
        raise ScaPreError(
            f"source: {shorten(source)} is not a .txt file in ComfyUI's input folder. Put the list there."
        )
    if not path.is_file():
        raise ScaPreError(f"source: {shorten(source)} does not exist. Refresh the node (key R) and choose again.")
    return path


def _read(source: str) -> str:
    path = list_path(source)
    if path.stat().st_size > _MOST_BYTES:
        raise ScaPreError(f"source: {shorten(source)} is larger than 1 MB. Split the list.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScaPreError(
            f"source: {shorten(source)} is not UTF-8 text (byte {error.start}). Save it again with the encoding UTF-8."
        ) from None
    except OSError as error:
        raise ScaPreError(
            f"source: {shorten(source)} cannot be read ({error.strerror}). Check its permissions."
        ) from None
