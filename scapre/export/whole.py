"""A whole checkpoint with the edit in its weights, and in what copies of them it holds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints.checkpoint import FLOATS, Checkpoint
from ..checkpoints.entries import Entry
from ..edits.edit import Edit
from ..errors import ScaPreError
from ..families import Part, Projections, by_weight
from ..files.write import write_tensors
from ..progress import Progress
from .carried import carried
from .copies import find_copies
from .matrices import Matrices
from .metadata import own_fields
from .result import Exported, Options, Residual


def write_checkpoint(edit: Edit, weights: Projections, path: Path, options: Options, progress: Progress) -> Exported:
    """Writes the checkpoint again, one tensor at a time: projections W + ΔW in their own dtype, the rest bit by bit.

    Copies of the projections are edited too, each from its own values, and what cannot be is named in the notes.

    Args:
        edit: What to export.
        weights: The checkpoint.
        path: Where to.
        options: Metadata; rank and dtype have no part in this.
        progress: Told each matrix; may raise to stop.

    Raises:
        ScaPreError: If the weights are no file, the edit does not fit them, their dtype does not hold the result, or
            the file cannot be written.
        FileExistsError: If there is a file that may not be replaced.
    """
    if not isinstance(weights, Checkpoint):
        raise ScaPreError("format: a checkpoint is written from a checkpoint file. Use Save Checkpoint in ComfyUI.")
    _check_precision(edit, weights)
    source, edited = weights.file, _Edited(edit, weights, progress)
    metadata, left_out = carried(source.metadata, edit, options.names)
    metadata |= own_fields(edit, options.names)
    write_tensors(path, source.entries, edited.tensor, metadata, overwrite=options.overwrite)
    size, residual = sum(entry.size for entry in source.entries.values()), edited.residual
    notes = (*edited.notes(), *left_out)
    return Exported(f"{weights.family} checkpoint", residual.overall, residual.matrices, {}, size, notes)


def _check_precision(edit: Edit, checkpoint: Checkpoint) -> None:
    entries = checkpoint.file.entries
    for name in by_weight(edit.matrices.keys() & checkpoint.roles.keys()):
        if (entry := entries[checkpoint.stored_name(name)]).dtype not in FLOATS:
            raise ScaPreError(
                f"format: {name} is quantised ({entry.dtype or entry.kind}), and storing the edit in it would round "
                "much of it away. Export a LoRA or a difference (--format lora, --format diff), which load beside it."
            )


class _Edited:
    """The tensors of a checkpoint as they are written."""

    def __init__(self, edit: Edit, checkpoint: Checkpoint, progress: Progress) -> None:
        self.edit, self.file, self.residual = edit, checkpoint.file, Residual()
        self.matrices = Matrices(edit, checkpoint, progress)
        self.names = {checkpoint.stored_name(name): name for name in self.matrices.parts}
        self.copies, self.unedited = find_copies(checkpoint, self.matrices.parts), list[str]()

    def tensor(self, key: str) -> Tensor:
        """One of them; the bytes of one whose dtype is unknown."""
        if key in self.names:
            return self._projection(key)
        if key in self.copies.edited:
            return self._copy(key)
        return self.file.read(key) if self.file.entries[key].dtype else self.file.stored_bytes(key)

    def _projection(self, key: str) -> Tensor:
        name, entry = self.names[key], self.file.entries[key]
        parts = self.matrices.parts[name]
        if parts[0].whole:
            return self._edited(parts[0], entry).reshape(entry.shape)
        after = self.file.read(key).flatten(1).clone()
        for part in parts:
            part.of(after).copy_(self._edited(part, entry))
        return after.reshape(entry.shape)

    def _edited(self, part: Part, entry: Entry) -> Tensor:
        before = self.matrices.read(part.name)
        change = self.edit.delta(part.name, before)
        after = (before + change).to(entry.dtype)
        self.residual.add(part.name, change, after.double() - before.double())
        return after

    def _copy(self, key: str) -> Tensor:
        """A copy with the edit; as it was where that gives no numbers: nobody draws with it, but it is named."""
        stored = self.file.read(key)
        after = stored.to(torch.float32).flatten(1)
        if after.isfinite().all():
            for part in self.matrices.parts[self.copies.edited[key]]:
                part.of(after).add_(self.edit.delta(part.name, part.of(after).clone()))
        after = after.to(stored.dtype).reshape(stored.shape)
        if after.isfinite().all():
            return after
        self.unedited.append(key)
        return stored

    def notes(self) -> tuple[str, ...]:
        """What to say, when all have been written."""
        return (*self.matrices.notes(), *self.copies.notes(self.unedited))
