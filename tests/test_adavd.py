"""AdaVD against its equations, written out token by token and concept by concept."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pack.scapre.adavd import directions, without

WIDTH = 12


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(tokens: Tensor, values: Tensor, strength: float, gate: bool) -> Tensor:
    """Gram and Schmidt for each token, in loops."""
    found = tokens.clone()
    for place, token in enumerate(tokens):
        before: list[Tensor] = []
        for value in values:
            own = value.clone()
            for other in before:
                own = own - (own @ other) / (other @ other) * other
            before.append(own)
            alike = float(token @ value / token.norm() / value.norm())
            delta = 2 / (1 + math.exp(-100 * (alike - 0.93))) if gate else 1.0
            found[place] -= strength * delta * (token @ own) / (own @ own) * own
    return found


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("strength", [1.0, 0.4])
@pytest.mark.parametrize("concepts", [1, 3, 5])
def test_it_is_that_of_the_equations(gate: bool, strength: float, concepts: int) -> None:
    values, tokens = random(concepts, WIDTH), random(7, WIDTH, seed=1)
    tokens[:2] = 3 * values[:1] + 0.3 * tokens[:2]  # alike enough for the gate
    found = without(tokens.float(), *directions(values), strength, gate=gate)
    assert (found.double() - naive(tokens, values, strength, gate)).abs().max() < 1e-5


def test_nothing_of_the_concepts_is_left_and_all_beside_them_stays() -> None:
    values, tokens = random(4, WIDTH), random(2, 3, WIDTH, seed=1).float()
    found = without(tokens, *directions(values), 1.0, gate=False)
    assert (found.double() @ values.T).abs().max() < 1e-5
    complement = torch.linalg.qr(values.T, mode="complete")[0][:, 4:]
    assert ((found - tokens).double() @ complement).abs().max() < 1e-5
    again = without(found, *directions(values), 1.0, gate=False)
    assert (again - found).abs().max() < 1e-5


def test_values_that_others_make_up_change_nothing_and_hide_none_behind_them() -> None:
    values, tokens = random(3, WIDTH), random(5, WIDTH, seed=1).float()
    doubled = torch.stack([values[0], 2 * values[0], values[0] - values[1], values[1], values[2], torch.zeros(WIDTH)])
    ortho, own = directions(doubled)
    assert len(ortho) == len(own) == 3
    found, wanted = (without(tokens, *directions(some), 1.0, gate=False) for some in (doubled, values))
    assert (found - wanted).abs().max() < 1e-5
    assert torch.equal(without(tokens, *directions(torch.zeros(2, WIDTH)), 1.0, gate=True), tokens)


def test_more_concepts_than_numbers_leave_nothing() -> None:
    ortho, _ = directions(random(3 * WIDTH, WIDTH))
    assert len(ortho) == WIDTH
    assert without(random(4, WIDTH, seed=1).float(), ortho, ortho, 1.0, gate=False).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_answers_are_in_the_precision_of_the_tokens(dtype: torch.dtype) -> None:
    values, tokens = random(2, WIDTH), random(5, WIDTH, seed=1)
    found = without(tokens.to(dtype), *directions(values.to(dtype)), 1.0, gate=False)
    assert found.dtype == dtype
    assert (found.double() - naive(tokens, values, 1.0, False)).abs().max() < 20 * torch.finfo(dtype).eps
