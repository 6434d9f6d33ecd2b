"""Centres of groups of states, found the same way every time."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 100


def centres(rows: Tensor, count: int) -> Tensor:
    """Centres of at most `count` clusters of the rows by k-means (Lloyd), (clusters, d).

    The first centre is the first row, and each further one the row farthest from those before it: no chance is in it.
    Fewer distinct rows than clusters give a centre each.

    Args:
        rows: (n, d), float64.
        count: The most there may be.
    """
    if not len(rows):
        return rows
    found = _apart(rows, count)
    nearest = torch.cdist(rows, found).argmin(1)
    for _ in range(_ROUNDS):
        found = torch.stack([rows[nearest == index].mean(0) for index in nearest.unique()])
        before, nearest = nearest, torch.cdist(rows, found).argmin(1)
        if torch.equal(before, nearest):
            break
    return found


def _apart(rows: Tensor, count: int) -> Tensor:
    chosen = rows[:1]
    while len(chosen) < count:
        distance, place = torch.cdist(rows, chosen).amin(1).max(0)
        if distance <= 1e-6 * rows.norm(dim=1).max():
            break
        chosen = torch.cat([chosen, rows[place, None]])
    return chosen
