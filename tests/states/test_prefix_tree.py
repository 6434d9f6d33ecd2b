"""What texts begin with alike is found, and nothing else."""

from __future__ import annotations

import pytest
import torch

from pack.scapre.states.prefix_tree import PrefixTree

TOKENS = [[9, 1, 2, 3], [9, 1, 2, 4], [9, 2, 2, 4], [9, 1, 2, 3], [8, 1, 2, 3]]


def test_each_beginning_has_one_row() -> None:
    tree = PrefixTree.of(TOKENS)
    beginnings = {tuple(ids[: place + 1]) for ids in TOKENS for place in range(4)}
    assert len(tree.first) == len(beginnings) == 12
    found: dict[int, tuple[int, ...]] = {}
    for text, ids in enumerate(TOKENS):
        for place in range(4):
            number = int(tree.nodes[text, place])
            assert found.setdefault(number, tuple(ids[: place + 1])) == tuple(ids[: place + 1])
    assert set(found.values()) == beginnings


@pytest.mark.parametrize("texts", [1, 2, 40])
def test_what_is_gathered_is_spread_again(texts: int) -> None:
    drawn = torch.Generator().manual_seed(texts)
    tokens = torch.randint(3, (texts, 7), generator=drawn).tolist()
    tree = PrefixTree.of(tokens)
    # A state that its beginning decides, as a causal encoder gives.
    states = torch.tensor(tokens).double().cumsum(1)[..., None] * torch.tensor([1.0, -2.0]).double()
    mixed = torch.stack([states, torch.tensor(tokens)[..., None].double().expand_as(states).cumsum(1).cos()], -1)
    assert torch.equal(tree.spread(tree.gather(mixed)), mixed)
    assert len(tree.gather(mixed)) <= texts * 7
