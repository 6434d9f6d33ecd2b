"""The shared linear algebra, and stopping a factorisation that is under way."""

from __future__ import annotations

import threading

import pytest
import torch

from pack.scapre import linalg
from pack.scapre.methods.change import Change
from pack.scapre.progress import interruptible


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 64, 64), (200, 96, 1), (3, 1, 2)])
def test_product_equals_the_plain_product_for_any_layout(shape, dtype):
    n, d, k = shape
    torch.manual_seed(0)
    a, b = torch.randn(n, d, dtype=dtype), torch.randn(d, k, dtype=dtype)
    expected = a.double() @ b.double()
    bound = 1e-5 if dtype == torch.float32 else 1e-13
    for left in (a, a.T.contiguous().T):
        for right in (b, b.T.contiguous().T):
            result = linalg.product(left, right)
            assert result.dtype == dtype
            assert (result.double() - expected).abs().max() < bound * d**0.5


def test_gram_sums_its_blocks_in_float64():
    torch.manual_seed(0)
    rows = torch.randn(30, 8, dtype=torch.float64)
    total = linalg.gram(lambda index: rows[10 * index : 10 * index + 10], 3, 8, rows.device)
    assert torch.allclose(total, rows.T @ rows, atol=1e-12)


@pytest.mark.parametrize("patience", [0, 1024])
def test_range_basis_and_left_singular_drop_the_null_space(patience, monkeypatch):
    monkeypatch.setattr(linalg, "_PATIENCE", patience)
    torch.manual_seed(0)
    factor = torch.randn(20, 5, dtype=torch.float64)
    values, basis = linalg.range_basis(factor @ factor.T, lambda: None)
    assert basis.shape == (20, 5)
    assert torch.allclose(basis @ torch.diag(values) @ basis.T, factor @ factor.T, atol=1e-10)
    vectors, sigma = linalg.left_singular(torch.cat((factor, factor[:, :2]), 1), lambda: None)
    assert len(sigma) == 5
    assert torch.allclose(vectors @ (vectors.T @ factor), factor, atol=1e-10)


@pytest.mark.parametrize("columns", [1, 3, 20])
def test_reflectors_rotate_a_basis_to_the_front_and_back_again(columns):
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(20, columns, dtype=torch.float64)).Q
    basis[:, 0] = -torch.eye(20, dtype=torch.float64)[0] if columns == 1 else basis[:, 0]  # nothing to reflect
    vectors, rows = linalg.reflectors(basis), torch.randn(6, 20, dtype=torch.float64)
    assert vectors.shape == basis.shape and vectors.abs().max() <= 1
    rotation = linalg.rotated(torch.eye(20, dtype=torch.float64), vectors)
    assert torch.allclose(rotation @ rotation.T, torch.eye(20, dtype=torch.float64), atol=1e-13)
    assert float((basis.T @ rotation[:, columns:]).abs().sum()) < 1e-12
    assert torch.allclose(linalg.rotated(rows, vectors), rows @ rotation, atol=1e-13)
    assert torch.allclose(linalg.rotated(linalg.rotated(rows, vectors), vectors, back=True), rows, atol=1e-13)


def test_add_rows_adds_repeated_rows():
    total = torch.zeros(4, 2)
    linalg.add_rows(total, torch.tensor([1, 1, 3]), torch.tensor([[1.0, 2.0], [10.0, 20.0], [5.0, 6.0]]))
    assert total.tolist() == [[0, 0], [11, 22], [0, 0], [5, 6]]


def test_a_compact_change_is_its_dense_change():
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(12, 4, dtype=torch.float64)).Q
    weight, rows = torch.randn(6, 12, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)
    states = torch.randn(12, 3, dtype=torch.float64)
    for scale in (None, rows):
        change = Change(torch.randn(6, 4, dtype=torch.float64), basis, weight, scale)
        dense = change.coefficients @ basis.T + (0 if scale is None else scale * weight)
        assert torch.allclose(change.dense(), dense)
        assert torch.allclose(change.respond(basis.T @ states, weight @ states), dense @ states)
        assert change.norm == pytest.approx(dense.norm().item())
        kept = change.dense().clone()
        whole = Change(dense - (0 if scale is None else scale * weight), None, weight, scale)  # without a basis
        assert torch.allclose(whole.dense(), kept) and torch.allclose(whole.dense(), kept)
        assert torch.allclose(whole.respond(states, weight @ states), dense @ states)
        assert whole.norm == pytest.approx(dense.norm().item())


def test_a_running_factorisation_can_be_left():
    class Cancelled(BaseException):
        pass

    release, polls = threading.Event(), 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        interruptible(release.wait, 60, poll=poll)
    release.set()
    assert polls == 3


def test_an_error_in_the_thread_reaches_the_caller():
    with pytest.raises(torch.linalg.LinAlgError):
        interruptible(torch.linalg.cholesky, -torch.eye(3), poll=lambda: None)
    assert interruptible(lambda value: value + 1, 1, poll=lambda: None) == 2


def spread(width: int, rank: int, tail: float) -> torch.Tensor:
    """A matrix of equal singular values up to a rank, and all others so large that they have this share of its norm."""
    torch.manual_seed(rank)
    left, right = (torch.linalg.qr(torch.randn(width, width, dtype=torch.float64)).Q for _ in range(2))
    values = torch.full((width,), tail * (rank / max(width - rank, 1)) ** 0.5, dtype=torch.float64)
    values[:rank] = 1
    return left @ values.diag() @ right.T


@pytest.mark.parametrize("tolerance", [1e-6, 1e-3, 0.05])
@pytest.mark.parametrize("rank", [1, 8, 32])
def test_a_matrix_is_made_thin_wherever_the_tolerance_allows_it(rank, tolerance):
    matrix = spread(256, rank, 0.9 * tolerance)
    left, basis = linalg.thin(matrix, tolerance, 32)
    assert basis.shape[1] <= rank
    assert (left @ basis.T - matrix).norm() <= tolerance * matrix.norm()
    assert linalg.thin(spread(256, rank, 0), tolerance, 32) is not None


@pytest.mark.parametrize("tail", [1e-5, 1e-2, 0.5])
def test_a_matrix_that_is_not_thin_is_told_from_one_that_is(tail):
    assert linalg.thin(spread(256, 32, tail), 1e-6, 32) is None
