"""Pairs the tokens of each concept with those of its anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .prompts import Pair
from .token_states import TokenStates


@dataclass(frozen=True)
class Alignment:
    """Where the aligned pairs of each concept lie (methods: x_t = E(o)[f + t], y_t = E(a)[g + t]).

    Both start at the last subject token and run to the end of the shorter rest, so that end and padding positions,
    which carry the prompt too in a causal encoder, are mapped as well.

    Attributes:
        source: (m, tokens) flat positions of x in `TokenStates.states`, and `count` of them valid in each row.
        target: (m,) index into `anchors`.
        anchors: (A, tokens) flat positions of y for each distinct anchor.
        count: (m,) pairs of each concept.
    """

    source: Tensor
    target: Tensor
    anchors: Tensor
    count: Tensor


def align(states: TokenStates, pairs: Sequence[Pair]) -> Alignment:
    """Aligns every pair; pairs of one anchor come to lie side by side if they do in `pairs`."""
    window = states.window
    anchors = {anchor: i for i, anchor in enumerate(dict.fromkeys(pair.anchor for pair in pairs))}
    first = torch.tensor([states.last[pair.concept.head] for pair in pairs])
    second = torch.tensor([states.last[pair.anchor.head] for pair in pairs])
    count = window - torch.maximum(first, second)
    steps = torch.arange(int(count.max()))

    def positions(row: Sequence[int], start: Tensor) -> Tensor:
        return torch.tensor(row)[:, None] + (start[:, None] + steps).clamp(max=window - 1)

    source = positions([states.first[pair.concept.text] for pair in pairs], first)
    start = torch.tensor([states.last[anchor.head] for anchor in anchors])
    target = torch.tensor([anchors[pair.anchor] for pair in pairs])
    return Alignment(source, target, positions([states.first[a.text] for a in anchors], start), count)
