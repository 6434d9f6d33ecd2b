"""AdaVD: values of cross-attention without what concepts add to them, token by token, while a model draws.

AdaVD, CVPR 2025: v ← v - δ (v·u) u at every token but the first of a window, with u the directions of the concepts'
values, made orthogonal in their order; δ = 1, or by how alike a token's value is to the concept's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHARPNESS, ALIKE = 100.0, 0.93
"""Of the gate δ = 2 / (1 + exp(-SHARPNESS (cos(v, v_t) - ALIKE))), as published."""
_DEPENDENT = 1e-5  # of a value's length that is left beside the others before it


def directions(values: Tensor) -> tuple[Tensor, Tensor]:
    """What concepts' values point to, each beside those before it, by Gram and Schmidt.

    Args:
        values: (concepts, n), the value of each concept's last token.

    Returns:
        (k, n) orthonormal rows, and the unit vectors (k, n) of the concepts that they are of: a value that those before
        it make up has none. float32, on the device of the values.
    """
    found: list[Tensor] = []
    own = []
    for value in F.normalize(values.to("cpu", torch.float64), dim=1):
        rest = value
        for _ in range(2):  # once more, for what rounding leaves
            rest = rest - sum((rest @ other * other for other in found), torch.zeros_like(rest))
        if rest.norm() > _DEPENDENT:
            found.append(rest / rest.norm())
            own.append(value)
    return _stacked(found, values), _stacked(own, values)


def _stacked(rows: list[Tensor], like: Tensor) -> Tensor:
    found = torch.stack(rows) if rows else torch.empty(0, like.shape[1])
    return found.to(like.device, torch.float32)


def without(tokens: Tensor, ortho: Tensor, concepts: Tensor, strength: float, *, gate: bool) -> Tensor:
    """Values of tokens without those of concepts.

    Args:
        tokens: (…, n).
        ortho: (k, n); see `directions`.
        concepts: (k, n); see `directions`.
        strength: 1 as published.
        gate: Whether only tokens are changed whose values are like a concept's, those most like it twice as far.
    """
    plain = tokens.to(torch.float32)
    along = plain @ ortho.T
    if gate:
        alike = F.normalize(plain, dim=-1) @ concepts.T
        along = along * (2 * torch.sigmoid(SHARPNESS * (alike - ALIKE)))
    return (plain - strength * (along @ ortho)).to(tokens.dtype)
