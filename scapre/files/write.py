"""Writes files that are whole or not there at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.entries import Entry
from ..errors import ScaPreError, shorten

_WINDOWS = os.name == "nt"

Announced = tuple[torch.dtype, tuple[int, ...]] | Entry
"""What a tensor will be: its dtype and shape, or its entry in a file that it is copied from."""


@contextmanager
def written(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Gives a path in the same folder to write to; what is there afterwards takes its place under `path`.

    Until then nothing under `path` is touched, and after an error, whichever it is, what was written is removed.

    Args:
        path: The file that is wanted.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        ScaPreError: If the folder cannot be written, or the disk is full.
        FileExistsError: If there is a file that may not be replaced; also one that another process makes meanwhile.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(str(path))
    part = _beside(path)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        _publish(part, path, overwrite)
    except FileExistsError:
        raise
    except OSError as error:
        raise ScaPreError(
            f"{shorten(path)} cannot be written ({error.strerror or error}). Check that the folder exists, that it may "
            "be written to and that the disk is not full. Nothing was changed."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def try_writing(path: Path) -> None:
    """Finds out, before any work is done, whether `written` can put a file under a path. Nothing is left behind.

    Raises:
        OSError: If it cannot: the folder or the name does not allow it, or what is there cannot be replaced.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EISDIR, "under this name is something else than a file", str(path))
        _try_replacing(path)
    part = _beside(path)
    try:
        part.open("xb").close()
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _try_replacing(path: Path) -> None:
    try:
        path.open("rb+").close()
    except PermissionError as error:
        # On Windows no one may replace a file that is read-only or in use; elsewhere rights of the folder decide.
        if _WINDOWS or error.errno != errno.EACCES:
            raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}.part")


def _publish(part: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        part.replace(path)
        return
    path.open("xb").close()  # the one step that of two processes only one can take
    try:
        part.replace(path)
    except BaseException:
        path.unlink()
        raise


def write_tensors(
    path: Path,
    entries: Mapping[str, Announced],
    tensor: Callable[[str], Tensor],
    metadata: Mapping[str, str],
    *,
    overwrite: bool = True,
) -> None:
    """Writes a safetensors file, one tensor at a time: no more than one of them is held.

    Args:
        path: The file that is wanted, see `written`.
        entries: Dtype and shape of every tensor by name, or its entry in another file.
        tensor: Gives a tensor by its name; one whose dtype torch does not know as its bytes.
        metadata: The file's text entries.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        ScaPreError: If the file cannot be written.
        FileExistsError: See `written`.
    """
    layout = _layout({name: told if isinstance(told, Entry) else Entry.of(*told, 0) for name, told in entries.items()})
    with written(path, overwrite=overwrite) as part, part.open("xb") as file:
        file.write(_header(layout, metadata))
        for name, entry in layout.items():
            file.write(_bytes(tensor(name), entry))


def _layout(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Places for tensors, one after the other.

    Wide dtypes come first: then every tensor lies at a multiple of its items' size, as readers that map the file want.
    """
    layout: dict[str, Entry] = {}
    end = 0
    for name in sorted(entries, key=lambda name: -entries[name].bits):
        layout[name] = entries[name].at(end)
        end = layout[name].end
    return layout


def _header(layout: Mapping[str, Entry], metadata: Mapping[str, str]) -> bytes:
    described = {
        name: {"dtype": entry.kind, "shape": entry.shape, "data_offsets": (entry.start, entry.end)}
        for name, entry in layout.items()
    }
    text = json.dumps({"__metadata__": dict(metadata), **described}, ensure_ascii=False, separators=(",", ":"))
    data = text.encode()
    data += b" " * (-len(data) % 8)
    return len(data).to_bytes(8, "little") + data


def _bytes(value: Tensor, entry: Entry) -> Any:
    wanted = (entry.dtype, entry.shape) if entry.dtype else (torch.uint8, (entry.size,))
    if (value.dtype, tuple(value.shape)) != wanted:
        raise ValueError(f"{value.dtype} {tuple(value.shape)} was given where {entry} was announced")
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
