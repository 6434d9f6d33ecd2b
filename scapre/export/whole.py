"""A whole checkpoint with the edit in its weights."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from ..checkpoints.checkpoint import Checkpoint
from ..edits.edit import Edit
from ..errors import ScaPreError
from ..families import Projections
from ..files.write import write_tensors
from ..progress import Progress
from .matrices import Matrices
from .metadata import own_fields
from .result import Exported, Options, Residual

_HASHES = ("modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash")  # of the weights before


def write_checkpoint(edit: Edit, weights: Projections, path: Path, options: Options, progress: Progress) -> Exported:
    """Writes the checkpoint again, one tensor at a time: projections W + ΔW in their own dtype, the rest bit by bit.

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
    matrices, residual = Matrices(edit, weights, progress), Residual()
    names = {weights.stored_name(name): name for name in edit.shapes}

    def tensor(key: str) -> Tensor:
        if key not in names:
            return weights.file.read(key)
        name, dtype = names[key], weights.file.entries[key].dtype
        before = matrices.read(name)
        change = edit.delta(name, before)
        after = (before + change).to(dtype)
        residual.add(name, change, after.double() - before.double())
        return after

    entries = {key: (entry.dtype, entry.shape) for key, entry in weights.file.entries.items()}
    metadata = {key: text for key, text in weights.file.metadata.items() if key not in _HASHES}
    write_tensors(path, entries, tensor, metadata | own_fields(edit, options.names), overwrite=options.overwrite)
    size = sum(math.prod(shape) * dtype.itemsize for dtype, shape in entries.values())
    return Exported(f"{weights.family} checkpoint", residual.overall, residual.matrices, {}, size, matrices.notes())
