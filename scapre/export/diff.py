"""Full differences: the change of each matrix as it is."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from ..edits.edit import Edit
from ..families import Projections, by_weight
from ..files.write import write_tensors
from ..progress import Progress
from .matrices import Matrices, stacked
from .metadata import lora_fields
from .names import LABELS
from .result import Exported, Options, Residual


def write_diff(edit: Edit, weights: Projections, path: Path, options: Options, progress: Progress) -> Exported:
    """Writes `.diff` of every matrix, one at a time.

    Args:
        edit: What to export.
        weights: The model it is evaluated on.
        path: Where to.
        options: dtype (fp32 unless given) and metadata.
        progress: Told each matrix; may raise to stop.

    Raises:
        ScaPreError: If the edit does not fit the weights, the dtype does not hold its values, or the file cannot be
            written.
        FileExistsError: If there is a file that may not be replaced.
    """
    dtype, matrices, residual = options.stored("fp32"), Matrices(edit, weights, progress), Residual()
    labels = LABELS[weights.family]
    files = labels.naming(tuple(by_weight(weights.roles)))
    names = {f"{files[name]}.diff": name for name in matrices.parts}

    def difference(key: str) -> Tensor:
        name = names[key]
        change = stacked(matrices.changes(name), matrices.shape(name)).dense()
        residual.add(name, change, stored := change.to(dtype))
        return stored.reshape(entries[key][1])

    entries = {key: (dtype, matrices.shape(name)) for key, name in names.items()}
    write_tensors(path, entries, difference, lora_fields(edit, labels, 0, options.names), overwrite=options.overwrite)
    size = sum(math.prod(shape) * dtype.itemsize for dtype, shape in entries.values())
    return Exported(f"Difference for {weights.family}", residual.overall, residual.matrices, {}, size, matrices.notes())
