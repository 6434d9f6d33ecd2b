"""What an attack on the text's states can still call up: RECE's closed form, asked of the edited model.

RECE (arXiv 2407.12383), the states that make the edited matrices answer as the original ones do: c' = Z c with
Z = (ρ I + Σ W_nᵀ W_n)⁻¹ Σ W_nᵀ W, the sums over all matrices that read a text. ρ is in units of the mean square of a
column of all W_n.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..errors import ScaPreError

RIDGE = 1e-3


def calling_up(matrices: Iterable[tuple[Tensor, Tensor]], ridge: float = RIDGE) -> Tensor:
    """Z, (d, d), float64.

    Args:
        matrices: (n, d) each, of the original model and of the edited one.
        ridge: ρ; the smaller it is, the nearer the edited model comes to the original's answers.

    Raises:
        ScaPreError: If the edited matrices answer nothing, or there are none.
    """
    metric = answered = torch.zeros(1, 1, dtype=torch.float64)
    for before, after in matrices:
        new = after.double()
        metric = metric + new.T @ new
        answered = answered + new.T @ before.double()
    mean = float(metric.diagonal().mean())
    if not mean > 0:
        raise ScaPreError("edited: its text projections answer nothing, so that no state can be looked for in them.")
    found: Tensor = torch.linalg.solve(metric + ridge * mean * torch.eye(len(metric)).to(metric), answered)
    return found
