"""Which concepts of an edit lie so close to each other that erasing one touches the other."""

from __future__ import annotations

from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from ..edits.edit import Edit
from ..states.prompts import fill

MOST = 100
"""Concepts in the matrix."""
_ROWS = 512  # compared at a time with all others: 10 MB for the longest list


class Conflicts(TypedDict):
    """Cosine of some concepts' vectors, and how many concepts the edit has."""

    names: list[str]
    cosines: list[list[float]]
    of: int


def conflicts_of(edit: Edit) -> Conflicts | None:
    """Cosines of the concepts' vectors, in float64; None for a single concept, or where no states tell.

    A concept's vector is c_i, the state of its last token in its first wording, as the solve has it in P = Σ c_i c_iᵀ:
    nothing is subtracted from it. CLIP's states have much in common, so that unrelated names reach about a half. The
    solve meets that part too; without it the pairs come in nearly the same order; and a mean of the list, taken off,
    would make the cosine of two names depend on the others.

    Of more than `MOST` concepts those are taken that lie closest to another one, in the order of the list.
    """
    if len(edit.concepts) < 2 or not edit.states.whole or not edit.solver.reads_text:
        return None
    unit = F.normalize(_vectors(edit).double(), dim=1)
    chosen = _closest(unit, MOST)
    cosines = (unit[chosen] @ unit[chosen].T).clamp(-1, 1)
    cosines = ((cosines + cosines.T) / 2).fill_diagonal_(1)
    return {
        "names": [edit.concepts[index].text for index in chosen],
        "cosines": cosines.tolist(),
        "of": len(edit.concepts),
    }


def _vectors(edit: Edit) -> Tensor:
    """c_i of each concept, (concepts, d)."""
    prompts = (fill((concept.templates or edit.templates)[0], concept.text) for concept in edit.concepts)
    return torch.stack([edit.states.subject(prompt) for prompt in prompts])


def _closest(unit: Tensor, most: int) -> list[int]:
    """The rows of (m, d) that have the greatest product with another row, at most `most`, in their order."""
    if len(unit) <= most:
        return list(range(len(unit)))
    rows = unit.float()  # only to choose: twice as fast, and five thousand names take seconds
    nearest = torch.cat([_nearest(rows, start) for start in range(0, len(rows), _ROWS)])
    return sorted(nearest.argsort(descending=True, stable=True)[:most].tolist())


def _nearest(rows: Tensor, start: int) -> Tensor:
    """The greatest product of each of `_ROWS` rows with another row."""
    products = rows[start : start + _ROWS] @ rows.T
    products.diagonal(start).fill_(-torch.inf)
    return products.amax(1)
