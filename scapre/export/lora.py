"""A LoRA: the best factors of each matrix's change, in the names and with the metadata that other programs read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..edits.edit import Edit
from ..families import Part, Projections, by_weight
from ..files.write import write_tensors
from ..methods.change import Change
from ..progress import Progress
from .factors import Rank, factorise
from .matrices import Matrices, stacked
from .metadata import lora_fields
from .names import LABELS
from .result import Exported, Options, Residual


def write_lora(edit: Edit, weights: Projections, path: Path, options: Options, progress: Progress) -> Exported:
    """Writes the two factors of every weight, and alpha where the family's files have one: the rank, so the scale is 1.

    All matrices get the greatest rank that one of them needs, filled up with zeros: diffusers takes the commonest alpha
    for all matrices of a file, so one with several ranks would be applied at wrong strengths there, without a word.

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
    files = labels.naming(tuple(by_weight(weights.roles)))
    factors: dict[str, tuple[Tensor, Tensor]] = {}
    matrices, residual = Matrices(edit, weights, progress), Residual()
    for name in matrices.parts:
        changes = matrices.changes(name)
        change = stacked(changes, matrices.shape(name))
        up, down = (
            factor.to(dtype) for factor in _kept(edit, changes, options.rank) or factorise(change, options.rank)
        )
        residual.add(name, change.dense(), up.double() @ down.double())
        factors[name] = up, down
    ranks = {name: len(down) for name, (_, down) in factors.items()}
    rank = max(ranks.values())
    places = {f"{files[name]}.{said}": (name, part) for name in factors for part, said in labels.parts.items()}

    def tensor(key: str) -> Tensor:
        name, part = places[key]
        return _filled(*factors[name], rank)[part].reshape(entries[key][1])

    entries = {
        key: _announced(*matrices.shape(name), rank=rank, dtype=dtype)[part] for key, (name, part) in places.items()
    }
    metadata = lora_fields(edit, labels, rank, options.names)
    write_tensors(path, entries, tensor, metadata, overwrite=options.overwrite)
    size = sum(math.prod(shape) * kind.itemsize for kind, shape in entries.values())
    notes = (*_too_large(edit, size, dtype), *matrices.notes())
    return Exported(f"LoRA for {weights.family}", residual.overall, residual.matrices, ranks, size, notes, rank)


def _kept(edit: Edit, changes: Mapping[Part, Change], rank: Rank) -> tuple[Tensor, Tensor] | None:
    """The factors that the edit is kept in, unless another rank is asked for; several matrices' side by side."""
    held = edit.payload.matrices
    found = {part.index: edit.solver.factors(held[part.name]) if part.name in held else None for part in changes}
    if rank.rank or None in found.values():
        return None
    pairs = {index: pair for index, pair in found.items() if pair}
    ups, downs = zip(*pairs.values(), strict=True)
    count, rows = next(iter(changes)).count, len(ups[0])
    up = torch.block_diag(*ups)
    placed = up.new_zeros(count * rows, up.shape[1])
    for place, index in enumerate(pairs):
        placed[index * rows : (index + 1) * rows] = up[place * rows : (place + 1) * rows]
    return placed, torch.cat(downs)


def _announced(
    n: int, d: int, *kernel: int, rank: int, dtype: torch.dtype
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """What the file says that it holds of one weight, (n, d, *kernel)."""
    return {
        "lora_down.weight": (dtype, (rank, d, *kernel)),
        "lora_up.weight": (dtype, (n, rank, *[1] * len(kernel))),
        "alpha": (torch.float32, ()),  # bf16 would round ranks above 256
    }


def _filled(up: Tensor, down: Tensor, rank: int) -> dict[str, Tensor]:
    """What the file holds of one matrix: its factors, filled up with zeros, and alpha."""
    missing = rank - len(down)
    return {
        "lora_down.weight": pad(down, (0, 0, 0, missing)),
        "lora_up.weight": pad(up, (0, missing)),
        "alpha": torch.tensor(float(rank)),
    }


def _too_large(edit: Edit, size: int, dtype: torch.dtype) -> tuple[str, ...]:
    """What to say of factors that take more than their products."""
    whole = sum(n * d for n, d in edit.matrices.values()) * dtype.itemsize
    if size < whole:
        return ()
    return (
        f"a full difference (diff) in the same precision takes {whole / 1e6:.1f} MB, less than these factors, and "
        "misses nothing but the rounding. Take it, or a lower rank.",
    )
