"""A LoRA: the best factors of each matrix's change, in the names and with the metadata that other programs read."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..edits.edit import Edit
from ..families import Projections
from ..files.write import write_tensors
from ..progress import Progress
from .factors import factorise
from .matrices import Matrices
from .metadata import lora_fields
from .names import LABELS
from .result import Exported, Options, Residual


def write_lora(edit: Edit, weights: Projections, path: Path, options: Options, progress: Progress) -> Exported:
    """Writes `.lora_up.weight`, `.lora_down.weight` and `.alpha` of every matrix; alpha is its rank, so its scale is 1.

    Args:
        edit: What to export.
        weights: The model it is evaluated on.
        path: Where to.
        options: Rank, dtype (fp16 unless given) and metadata.
        progress: Told each matrix; may raise to stop.

    Raises:
        ScaPreError: If the edit does not fit the weights, the dtype does not hold its values, or the file cannot be
            written.
        FileExistsError: If there is a file that may not be replaced.
    """
    dtype, labels = options.stored("fp16"), LABELS[weights.family]
    files = labels.naming(tuple(weights.roles))
    tensors: dict[str, Tensor] = {}
    matrices, ranks, residual = Matrices(edit, weights, progress), {}, Residual()
    for name, weight in matrices:
        change = edit.change(name, weight)
        up, down = (factor.to(dtype) for factor in factorise(change, options.rank))
        residual.add(name, change.dense(), up.double() @ down.double())
        ranks[name] = len(down)
        tensors |= {f"{files[name]}.lora_down.weight": down, f"{files[name]}.lora_up.weight": up}
        tensors[f"{files[name]}.alpha"] = torch.tensor(float(len(down)))  # bf16 would round ranks above 256
    entries = {key: (value.dtype, tuple(value.shape)) for key, value in tensors.items()}
    metadata = lora_fields(edit, labels, ranks.values(), options.names)
    write_tensors(path, entries, tensors.__getitem__, metadata, overwrite=options.overwrite)
    size = sum(value.nbytes for value in tensors.values())
    notes = (*_too_large(edit, size, dtype), *matrices.notes())
    return Exported(f"LoRA for {weights.family}", residual.overall, residual.matrices, ranks, size, notes)


def _too_large(edit: Edit, size: int, dtype: torch.dtype) -> tuple[str, ...]:
    """What to say of factors that take more than their products."""
    whole = sum(n * d for n, d in edit.shapes.values()) * dtype.itemsize
    if size < whole:
        return ()
    return (
        f"a full difference (diff) in the same precision takes {whole / 1e6:.1f} MB, less than these factors, and "
        "misses nothing but the rounding. Take it, or a lower rank.",
    )
