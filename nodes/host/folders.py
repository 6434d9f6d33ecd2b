"""Where edit files are kept: the model folder `scapre`, and `scapre` in the output folder."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TypeVar

import folder_paths

from ...scapre.errors import ScaPreError, shorten

_T = TypeVar("_T")
_FOLDER = "scapre"
_SUFFIX = ".safetensors"
_OUTPUT = " [output]"  # as the host marks files in other places than their own


def register_folder() -> None:
    """Makes `models/scapre` a model folder, to which users can add others in extra_model_paths.yaml."""
    folder_paths.add_model_folder_path(_FOLDER, str(Path(folder_paths.models_dir) / _FOLDER))
    folder_paths.folder_names_and_paths[_FOLDER][1].add(_SUFFIX)


def cache_folder() -> Path:
    """Where figures of text encoders are kept; it may be deleted at any time."""
    return Path(folder_paths.get_user_directory()) / "scapre" / "cache"


def edit_files() -> dict[str, Path]:
    """All edit files by the name they are chosen by."""
    models = {name: folder_paths.get_full_path(_FOLDER, name) for name in folder_paths.get_filename_list(_FOLDER)}
    saved = Path(folder_paths.get_output_directory()) / _FOLDER
    found = sorted(path for path in saved.rglob("*" + _SUFFIX) if path.is_file() and _inside(path, saved))
    return {
        **{name.replace("\\", "/"): Path(path) for name, path in models.items() if path},
        **{path.relative_to(saved).as_posix() + _OUTPUT: path for path in found},
    }


def edit_path(name: str) -> Path:
    """The file behind a choice. Only what is listed can be chosen, so no name leads anywhere else.

    Raises:
        ScaPreError: If there is none.
    """
    path = edit_files().get(name)
    if path is None:
        raise ScaPreError(
            f"file: there is no edit {shorten(name)}. Put it into models/scapre, refresh the node (key R), choose it."
        )
    return path


def write_numbered(prefix: str, write: Callable[[Path], _T]) -> tuple[Path, _T]:
    """Writes a file of the output folder under its first free number.

    Args:
        prefix: Where in the output folder, and how the name begins.
        write: Writes to a path, or raises FileExistsError where there is a file.

    Returns:
        The path, and what `write` gave.

    Raises:
        ScaPreError: See `save_place`.
    """
    folder, name, first = save_place(prefix)
    for number in count(first):
        path = folder / f"{name}_{number:05}_{_SUFFIX}"
        try:
            return path, write(path)
        except FileExistsError:  # somebody was faster
            continue
    raise AssertionError("numbers do not end")


def save_place(prefix: str) -> tuple[Path, str, int]:
    """Folder, name and next number for a file in the output folder, as the host numbers pictures.

    Raises:
        ScaPreError: If the prefix leads out of the output folder, or the folder cannot be made.
    """
    output = folder_paths.get_output_directory()
    if not Path(prefix).name or not _inside(Path(output, prefix), Path(output)):
        raise ScaPreError(
            f"filename_prefix: {shorten(prefix)} is no place in the output folder. Write a name, such as scapre/edit."
        )
    try:
        folder, name, number, _, _ = folder_paths.get_save_image_path(prefix, output)
    except OSError as error:
        raise ScaPreError(
            f"filename_prefix: the folder of {shorten(prefix)} cannot be made ({error.strerror}). Check its rights."
        ) from None
    return Path(folder), name, number


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (ValueError, OSError):  # a null character, or a loop of links
        return False
