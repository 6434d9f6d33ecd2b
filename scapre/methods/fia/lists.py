"""Selected weights as lists: how many there are in each row, and their columns, two bytes each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import ScaPreError

WIDEST = 32_767
Lists = tuple[Tensor, Tensor]
"""Counts (rows,) and columns (weights,), both int16."""


def pack(mask: Tensor) -> Lists:
    """Lists of a mask (rows, d).

    Raises:
        ScaPreError: If it is too wide for them.
    """
    if mask.shape[1] > WIDEST:
        raise ScaPreError(
            f"model: a feed-forward layer of {mask.shape[1]:,} inputs is wider than an edit can list ({WIDEST:,})."
        )
    rows, columns = mask.nonzero(as_tuple=True)
    return rows.bincount(minlength=len(mask)).to("cpu", torch.int16), columns.to("cpu", torch.int16)


def unpack(counts: Tensor, columns: Tensor, width: int) -> Tensor:
    """The mask (rows, width) of lists."""
    mask = torch.zeros(len(counts), width, dtype=torch.bool, device=columns.device)
    mask[torch.arange(len(counts), device=columns.device).repeat_interleave(counts.long()), columns.long()] = True
    return mask


def agree(counts: Tensor, columns: Tensor) -> bool:
    """Whether lists belong together: the columns of each row are there once, in order."""
    if int(counts.long().sum()) != len(columns):
        return False
    rows = torch.arange(len(counts)).repeat_interleave(counts.long())
    same = rows[1:] == rows[:-1]
    return bool((columns[1:] > columns[:-1])[same].all())


def split(counts: Tensor, columns: Tensor, heights: Sequence[int]) -> list[Lists]:
    """Lists of several matrices that stand one after another, as those of each."""
    parts = counts.split(list(heights))
    sizes = [int(part.long().sum()) for part in parts]
    return list(zip(parts, columns.split(sizes), strict=True))


def places(counts: Tensor, columns: Tensor) -> Tensor:
    """One number for each weight in lists, the same for the same row and column."""
    rows = torch.arange(len(counts)).repeat_interleave(counts.long())
    return rows * (WIDEST + 1) + columns.long()
