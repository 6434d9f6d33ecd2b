"""Writes files that are whole or not there at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.tensor_file import DTYPES, Entry
from ..errors import ScaPreError, shorten

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


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
    part = path.with_name(f".{secrets.token_hex(8)}.part")
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
    entries: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    tensor: Callable[[str], Tensor],
    metadata: Mapping[str, str],
    *,
    overwrite: bool = True,
) -> None:
    """Writes a safetensors file, one tensor at a time: no more than one of them is held.

    Args:
        path: The file that is wanted, see `written`.
        entries: Dtype and shape of every tensor by name.
        tensor: Gives a tensor by its name.
        metadata: The file's text entries.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        ScaPreError: If the file cannot be written.
        FileExistsError: See `written`.
    """
    # Wide dtypes first: then every tensor lies at a multiple of its items' size, as readers that map the file want it.
    names = sorted(entries, key=lambda name: -entries[name][0].itemsize)
    layout: dict[str, Entry] = {}
    for name in names:
        start = next(reversed(layout.values())).end if layout else 0
        layout[name] = Entry.of(*entries[name], start)
    with written(path, overwrite=overwrite) as part, part.open("xb") as file:
        file.write(_header(layout, metadata))
        for name in names:
            file.write(_bytes(tensor(name), layout[name]))


def _header(layout: Mapping[str, Entry], metadata: Mapping[str, str]) -> bytes:
    described = {
        name: {"dtype": _NAMES[entry.dtype], "shape": entry.shape, "data_offsets": (entry.start, entry.end)}
        for name, entry in layout.items()
    }
    text = json.dumps({"__metadata__": dict(metadata), **described}, ensure_ascii=False, separators=(",", ":"))
    data = text.encode()
    data += b" " * (-len(data) % 8)
    return len(data).to_bytes(8, "little") + data


def _bytes(value: Tensor, entry: Entry) -> Any:
    if value.dtype != entry.dtype or tuple(value.shape) != entry.shape:
        raise ValueError(f"{value.dtype} {tuple(value.shape)} was given where {entry} was announced")
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
