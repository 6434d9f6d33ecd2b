"""The states of last tokens, side by side: what most closed forms read of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..states.prompts import Prompt
from ..states.token_states import TokenStates
from .method import Problem


@dataclass(frozen=True)
class LastTokens:
    """States of subjects' last tokens, float64.

    Attributes:
        concepts: (d, m), a column for each pair.
        anchors: (d, m), of the same pairs.
        preserved: (d, p), a column for each preserved name.
    """

    concepts: Tensor
    anchors: Tensor
    preserved: Tensor


def last_tokens(problem: Problem) -> LastTokens:
    """The states of a problem's pairs and preserved names."""
    return LastTokens(
        columns(problem.states, [pair.concept for pair in problem.pairs]),
        columns(problem.states, [pair.anchor for pair in problem.pairs]),
        columns(problem.states, [Prompt(name, name) for name in problem.preserve]),
    )


def columns(states: TokenStates, prompts: Sequence[Prompt]) -> Tensor:
    """The state of each prompt's last subject token, (d, prompts), float64."""
    found = [states.subject(prompt) for prompt in prompts]
    return torch.stack(found, 1).double() if found else states.states.new_zeros(states.width, 0).double()
