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

_SUFFIX = ".safetensors"
_REFUSED = set('<>:"|?*\\') | {chr(code) for code in range(32)}


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
    return sorted(path.relative_to(folder).as_posix() for path in found)


def edit_path(name: str) -> Path:
    """The file behind a choice. Only what is listed can be chosen, so no name leads anywhere else.

    Raises:
        ScaPreError: If there is none.
    """
    if name not in edit_files():
        raise ScaPreError(f"file: there is no edit {shorten(name)} in {edits_folder()}. Put it there, or choose None.")
    return edits_folder() / name


def read(name: str) -> tuple[Edit, str]:
    """An edit file, and the hash of what it holds.

    Raises:
        ScaPreError: If there is none, or it is damaged.
    """
    path = edit_path(name)
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(4)
def _read(path: Path, changed: int, size: int) -> tuple[Edit, str]:
    return read_edit(path), hashlib.sha256(path.read_bytes()).hexdigest()


def save(edit: Edit, name: str) -> str:
    """Writes an edit under a name that is free, and returns it.

    Raises:
        ScaPreError: If the name is none, or taken, or the file cannot be written.
    """
    plain = name.strip().removesuffix(_SUFFIX)
    if not plain or _REFUSED & set(plain) or not _is_inside(edits_folder() / plain, edits_folder()):
        raise ScaPreError(f"name: {shorten(name)} cannot be a file's name. Write a word or two, such as painters.")
    path = edits_folder() / (plain + _SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_edit(edit, path, overwrite=False)
    except FileExistsError:
        raise ScaPreError(f"name: there is an edit {shorten(plain)} already. Choose another name.") from None
    except OSError as error:
        raise ScaPreError(f"name: {shorten(path)} cannot be written ({error.strerror or error}).") from None
    return path.relative_to(edits_folder()).as_posix()


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (ValueError, OSError, RuntimeError):  # a null character, or a loop of links
        return False
