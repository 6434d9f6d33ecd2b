"""Edits as safetensors files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..checkpoints.tensor_file import TensorFile
from ..edits.edit import Edit, without_states
from ..edits.hide import hide_names
from ..methods.payload import Payload
from .description import Description
from .layout import read_tensors, tensors_of, token_states
from .metadata import from_metadata, to_metadata
from .sections import Tensors, sections
from .write import write_tensors


def write_edit(edit: Edit, path: Path, *, names: bool = True, states: bool = True, overwrite: bool = True) -> None:
    """Writes an edit to a file, which is there whole or not at all.

    Args:
        edit: What to write.
        path: The file, `.safetensors` by custom.
        names: Whether the names of concepts, anchors and preserved names go along; see `hide_names`.
        states: Whether the states of its texts go along, from which it can be merged and taken apart without its text
            encoder.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        ScaPreError: If the file cannot be written.
        FileExistsError: If there is one that may not be replaced.
    """
    edit = edit if names else hide_names(edit)
    if not states:
        edit = without_states(edit)
    tensors = {f"{prefix}{name}": tensor for prefix, part in _parts(edit) for name, tensor in tensors_of(part).items()}
    entries = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}
    write_tensors(path, entries, tensors.__getitem__, to_metadata(edit), overwrite=overwrite)


def _parts(edit: Edit) -> list[tuple[str, Edit]]:
    """An edit and its parts, with what the names of their tensors begin with."""
    return [("", edit), *((f"{name}.", part) for name, part in edit.further.items())]


def read_edit(path: Path) -> Edit:
    """Reads an edit from a file, bit for bit as it was written.

    Raises:
        ScaPreError: If it cannot be read, or is no whole edit that this version knows.
    """
    with TensorFile(path) as file:
        own, further = from_metadata(file)
        main, parts = sections(file, [f"{name}." for name in further])
        read = {name: _read(parts[f"{name}."], told) for name, told in further.items()}
        return replace(_read(main, own), further=read)


def _read(file: Tensors, told: Description) -> Edit:
    tensors = read_tensors(file, told)
    states = token_states(file, told, tensors)

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    return Edit(
        method=told.method,
        settings=told.settings,
        concepts=told.concepts,
        preserve=told.preserve,
        seed=told.seed,
        family=told.family,
        fingerprint=told.fingerprint,
        payload=Payload(part("shared."), {name: part(f"rows.{name}.") for name in told.shapes}),
        shapes=told.shapes,
        report=told.report,
        templates=told.templates,
        states=states,
        sketch={name: tensors[f"sketch.{name}"] for name in told.shapes},
        version=told.version,
    )
