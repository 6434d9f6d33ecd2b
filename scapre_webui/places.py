"""Where the web UI keeps what is this pack's: edits in `models/scapre`, the user's own lists in `scapre`."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..scapre.concepts.lists import Lists
from ..scapre.edits.edit import Edit
from ..scapre.errors import ScaPreError, shorten
from ..scapre.files import read_edit, write_edit
from .hosts.files import stamp

_SUFFIX = ".safetensors"
_REFUSED = set('<>:"|?*\\')
_RESERVED = {"", "CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}
_LONGEST = 120


def _host() -> Any:
    """The host's module of paths: what is above it can be used without one."""
    from modules import paths

    return paths


def edits_folder() -> Path:
    """Folder of edit files."""
    return Path(_host().models_path) / "scapre"


def cache_folder() -> Path:
    """Where figures of text encoders are kept; it may be deleted at any time."""
    return Path(_host().data_path) / "cache" / "scapre"


def lists() -> Lists:
    """Those that are bundled, and those in the folder `scapre-lists` of the web UI."""
    return Lists(Path(_host().data_path) / "scapre-lists", "the web UI's folder scapre-lists", "Refresh the lists")


def edit_files() -> list[str]:
    """The names of all edit files."""
    folder = edits_folder()
    found = (path for path in folder.rglob("*" + _SUFFIX) if path.is_file() and _is_inside(path, folder))
    return sorted(name for path in found if _can_be_sent(name := path.relative_to(folder).as_posix()))


def edit_path(name: str) -> Path:
    """The file behind a choice. Only what is listed can be chosen, so no name leads anywhere else.

    Raises:
        ScaPreError: If there is none.
    """
    if name not in edit_files():
        raise ScaPreError(f"file: there is no edit {shorten(name)} in models/scapre. Put it there, or choose None.")
    return edits_folder() / name


def read(name: str) -> tuple[Edit, str]:
    """An edit file, and the hash of what it holds.

    Raises:
        ScaPreError: If there is none, or it is damaged.
    """
    return _read(stamp(edit_path(name)))


@lru_cache(4)
def _read(held: tuple[str, int, int, int]) -> tuple[Edit, str]:
    path = Path(held[0])
    return read_edit(path), hashlib.sha256(path.read_bytes()).hexdigest()


def save(edit: Edit, name: str) -> str:
    """Writes an edit under a name that is free, and returns it.

    Raises:
        ScaPreError: If the name is none, or taken, or the file cannot be written.
    """
    plain = name.strip().removesuffix(_SUFFIX)
    if not _is_name(plain) or not _is_inside(edits_folder() / plain, edits_folder()):
        raise ScaPreError(f"name: {shorten(name)} cannot be a file's name. Write a word or two, such as painters.")
    path = edits_folder() / (plain + _SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_edit(edit, path, overwrite=False)
    except FileExistsError:
        raise ScaPreError(f"name: there is an edit {shorten(plain)} already. Choose another name.") from None
    except OSError as error:
        raise ScaPreError(
            f"name: {shorten(plain)} cannot be written ({error.strerror or error}). Check the rights of models/scapre."
        ) from None
    return path.relative_to(edits_folder()).as_posix()


def _is_name(name: str) -> bool:
    """Whether systems of all kinds take it for a file's name, perhaps in a folder or two."""
    parts = name.split("/")
    plain = all(part.strip(" .") == part and part.upper() not in _RESERVED for part in parts)
    return plain and bool(name) and len(name) <= _LONGEST and name.isprintable() and not _REFUSED & set(name)


def _can_be_sent(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # its bytes are no text
        return False
    return True


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (ValueError, OSError, RuntimeError):  # a null character, or a loop of links
        return False
