"""Texts that begin alike: a causal encoder's states of what they share are the same, and are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PrefixTree:
    """The distinct beginnings of texts of one length.

    Attributes:
        nodes: (texts, length) the number of the beginning that ends at each position.
        first: (beginnings,) the first position where each ends, counted through one text after another.
    """

    nodes: Tensor
    first: Tensor

    @classmethod
    def of(cls, tokens: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> PrefixTree:
        """Finds them.

        Args:
            tokens: Ids of each text, all equally many.
            device: Where the numbers are wanted.
        """
        ids = torch.tensor(tokens)
        nodes, firsts, count = torch.empty_like(ids), [], 0
        group = torch.zeros(len(ids), dtype=torch.long)
        for place, column in enumerate(ids.T):
            _, group = torch.unique(torch.stack((group, column)), dim=1, return_inverse=True)
            many = int(group.max()) + 1
            here = torch.arange(len(ids)) * ids.shape[1] + place
            firsts.append(torch.full((many,), ids.numel()).scatter_reduce_(0, group, here, "amin"))
            nodes[:, place] = group + count
            count += many
        return cls(nodes.to(device), torch.cat(firsts).to(device))

    def spread(self, rows: Tensor) -> Tensor:
        """Rows of beginnings (beginnings, …) at all positions where they end, (texts, length, …)."""
        return rows[self.nodes]

    def gather(self, states: Tensor) -> Tensor:
        """Rows (beginnings, …) of states (texts, length, …) that are alike wherever a beginning ends."""
        return states.flatten(0, 1)[self.first]
