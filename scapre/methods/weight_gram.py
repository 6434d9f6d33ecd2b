"""What all matrices of a model make of a state together, in one small matrix."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from ..families import Projections, Role, having
from .method import Problem


def weight_gram(problem: Problem, projections: Projections, roles: Collection[Role]) -> Tensor:
    """G = Σ WᵀW over the matrices of some roles, (d, d), float64: xᵀ G y = Σ (W x)·(W y).

    A matrix of another width or with broken values is passed over: the solve reads it too, and refuses it by name.
    """
    states = problem.states.states
    total = states.new_zeros(states.shape[1], states.shape[1], dtype=torch.float64)
    names = having(projections, roles)
    for index, name in enumerate(names):
        problem.progress("weights", index, len(names))
        weight = projections.read(name, states.device).double()
        if weight.shape[1] == len(total) and weight.isfinite().all():
            total.addmm_(weight.T, weight)
    return total
