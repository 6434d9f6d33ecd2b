"""Low-rank factors of a change, against a plain singular value decomposition in float64."""

from __future__ import annotations

import pytest
import torch

from pack.scapre.errors import ScaPreError
from pack.scapre.export.factors import Rank, factorise
from pack.scapre.methods.change import Change

SHAPES = [(40, 30, 12), (12, 50, 20), (30, 30, 30), (1, 20, 5), (50, 8, 3)]  # rows, width, tokens


def some_change(n: int, d: int, k: int, rows: bool) -> Change:
    generator = torch.Generator().manual_seed(n + d)
    basis = torch.linalg.qr(torch.randn(d, k, generator=generator, dtype=torch.float64)).Q
    weight, coefficients, factor = (torch.randn(n, w, generator=generator, dtype=torch.float64) for w in (d, k, 1))
    scaled = coefficients * torch.logspace(0, -6, k, dtype=torch.float64)
    return Change(scaled, basis, weight, factor if rows else None)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [False, True])
def test_every_rank_misses_what_the_best_approximation_misses(shape: tuple[int, int, int], rows: bool) -> None:
    change = some_change(*shape, rows)
    dense = change.dense()
    sigma = torch.linalg.svdvals(dense)
    for rank in range(1, len(sigma) + 1):
        up, down = factorise(change, Rank(rank))
        assert up.shape[1] == len(down) <= rank
        best = sigma[rank:].norm().item()
        assert (up @ down - dense).norm().item() == pytest.approx(best, rel=1e-6, abs=1e-12 * dense.norm().item())


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01, 1e-4])
@pytest.mark.parametrize("rows", [False, True])
def test_a_tolerance_takes_the_least_rank_that_meets_it(tolerance: float, rows: bool) -> None:
    change = some_change(40, 30, 12, rows)
    dense = change.dense()
    sigma = torch.linalg.svdvals(dense)
    up, down = factorise(change, Rank(0, tolerance))
    assert (up @ down - dense).norm() <= tolerance * dense.norm()
    assert len(down) == 1 or sigma[len(down) - 1 :].norm() > tolerance * dense.norm()


def test_both_factors_are_of_one_size_so_that_halves_hold_them() -> None:
    change = some_change(40, 30, 12, True)
    up, down = factorise(change, Rank(5))
    assert torch.allclose(up.norm(dim=0), down.norm(dim=1))


@pytest.mark.parametrize("rows", [False, True])
def test_no_change_has_factors_of_zero(rows: bool) -> None:
    change = some_change(40, 30, 12, rows)
    nothing = Change(
        0 * change.coefficients, change.basis, change.weight, None if change.rows is None else 0 * change.rows
    )
    for rank in (Rank(4), Rank(0, 0.0)):
        up, down = factorise(nothing, rank)
        assert torch.equal(up @ down, torch.zeros_like(change.weight))


def test_a_rank_beyond_that_of_the_change_is_exact() -> None:
    change = some_change(40, 30, 12, False)
    up, down = factorise(change, Rank(1000))
    assert len(down) == 12
    assert torch.allclose(up @ down, change.dense(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("values", [{"rank": -1}, {"tolerance": -0.1}, {"tolerance": 1.0}, {"tolerance": float("nan")}])
def test_ranks_that_cannot_be_meant_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ScaPreError, match=next(iter(values))):
        Rank(**values)
