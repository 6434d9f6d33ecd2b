"""The gated target values: the right-hand side of ScaPre's rows (arXiv 2601.06162)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...linalg import add_rows, product
from ..payload import Tensors
from .informax import gate_values
from .statistics import block_size


def gated_targets(weight: Tensor, rotated: Tensor, shared: Tensors, rows: Tensors, technique: str) -> Tensor:
    """Σ_i r_ij (W N_i)_j Q with N_i = Σ_t y_t x_tᵀ, (n, k).

    Args:
        weight: (n, d) projection W.
        rotated: (n, k) W Q.
        shared: From `build_shared`.
        rows: From `fit_rows`; without `codes` every r_ij is 1.
        technique: `replace` or `tensor`.
    """
    total = torch.zeros_like(rotated)
    for concepts, anchor in _by_anchor(shared):
        values = product(weight, anchor.T)
        if technique == "tensor":
            _add_tensor(total, values, rotated, concepts, shared, rows)
        else:
            _add_common(total, values, concepts, shared, rows)
            if "codes" in rows:
                _add_deviations(total, values, concepts, shared, rows)
    return total


def _by_anchor(shared: Tensors) -> Iterator[tuple[slice, Tensor]]:
    counts = torch.bincount(shared["target"], minlength=len(shared["anchors"])).tolist()
    start = 0
    for anchor, count in zip(shared["anchors"], counts, strict=True):
        yield slice(start, start + count), anchor
        start += count


def _add_common(total: Tensor, values: Tensor, concepts: slice, shared: Tensors, rows: Tensors) -> None:
    """Adds the part that all rows share: each concept at its commonest gate value.

    The gate saturates on nearly all rows, so the sum over concepts of one anchor collapses to one (T, k) matrix.
    """
    tokens = shared["tokens"][concepts]
    share = tokens.new_ones(len(tokens))
    if "codes" in rows:
        share = rows["levels"][concepts].gather(1, rows["base"][concepts, None])[:, 0].to(tokens.dtype)
    mixed = torch.mv(tokens.flatten(1).T, share).view(tokens.shape[1:])
    total.add_(product(values, mixed))


def _add_deviations(total: Tensor, values: Tensor, concepts: slice, shared: Tensors, rows: Tensors) -> None:
    """Adds what the rows off the commonest gate value differ by."""
    codes, levels, base = rows["codes"][:, concepts], rows["levels"][concepts], rows["base"][concepts]
    tokens = shared["tokens"][concepts]
    concept, row = (codes != base).T.nonzero(as_tuple=True)
    if not len(row):
        return
    change = levels[concept, codes[row, concept].long()] - levels[concept, base[concept]]
    counts = torch.bincount(concept, minlength=len(tokens))
    ends = counts.cumsum(0)
    slot = torch.arange(len(row), device=row.device) - (ends - counts)[concept]
    sizes, starts = counts.tolist(), [0, *ends.tolist()]
    step = block_size(total.device, max(sizes) * max(tokens.shape[1:]))
    for first in range(0, len(tokens), step):
        last = min(first + step, len(tokens))
        part = slice(starts[first], starts[last])
        place = concept[part] - first, slot[part]
        left = values.new_zeros(last - first, max(sizes[first:last]), values.shape[1])
        left[place] = values[row[part]] * change[part, None].to(values.dtype)
        add_rows(total, row[part], (left @ tokens[first:last])[place])


def _add_tensor(
    total: Tensor, values: Tensor, rotated: Tensor, concepts: slice, shared: Tensors, rows: Tensors
) -> None:
    """Adds targets v - (û·v) û, with û the concept's own values W x over their Frobenius norm."""
    share = (
        gate_values(rows["codes"][:, concepts], rows["levels"][concepts]).to(values.dtype) if "codes" in rows else None
    )
    for index, tokens in enumerate(shared["tokens"][concepts]):
        own = rotated @ tokens.T
        common = (own * values).sum() / own.square().sum().clamp(min=torch.finfo(own.dtype).tiny)
        target = values - common * own
        total.addmm_(target if share is None else target * share[:, index, None], tokens)
