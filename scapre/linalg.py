"""Dense linear algebra shared by the methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from .progress import interruptible

T = TypeVar("T")

_COARSE = 2e-3  # of a norm: what single precision tells from nothing (a miss taken for more costs only thinness)
_FAR = 50  # times the tolerance: the expected miss is below 10 times as much for up to 1,500 columns
_PATIENCE = 1024  # a larger eigenproblem takes longer than a user should wait for Cancel


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b for a tall `a` (n x d) and a `b` (d x k) that many products share.

    On a CPU in float32 it goes through oneDNN: measured twice as fast as the default BLAS on an AMD EPYC.
    """
    if a.device.type == "cpu" and a.dtype == torch.float32 and torch.backends.mkldnn.is_available() and a.numel():
        return F.linear(a.to_mkldnn(), b.T).to_dense()
    return a @ b


def gram(blocks: Callable[[int], Tensor], count: int, width: int, device: torch.device) -> Tensor:
    """Sum of X_bᵀ X_b over `count` blocks of rows, (width, width), in float64.

    Float32 is not enough here: the eigenvalues span the squared norms of all tokens down to the ridge, ten orders of
    magnitude, and the solve needs the small ones.
    """
    total = torch.zeros(width, width, dtype=torch.float64, device=device)
    for index in range(count):
        rows = blocks(index)
        total.addmm_(rows.T, rows)
    return total


def range_basis(matrix: Tensor, poll: Callable[[], None]) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of a positive semidefinite matrix, without its null space.

    Args:
        matrix: (d, d), float64.
        poll: Called while the factorisation runs; may raise.

    Returns:
        Eigenvalues (k,) and an orthonormal basis (d, k) of the range; k = rank.
    """
    values, vectors = _factorise(torch.linalg.eigh, (matrix + matrix.T) / 2, poll)
    keep = values > values[-1] * torch.finfo(values.dtype).eps * len(values)
    return values[keep], vectors[:, keep].contiguous()


def left_singular(matrix: Tensor, poll: Callable[[], None]) -> tuple[Tensor, Tensor]:
    """Left singular vectors (d, r) and singular values (r,) of a (d, m) matrix; r = rank."""
    vectors, values, _ = _factorise(partial(torch.linalg.svd, full_matrices=False), matrix, poll)
    keep = values > values[0] * torch.finfo(values.dtype).eps * max(matrix.shape)
    return vectors[:, keep].contiguous(), values[keep]


def thin(matrix: Tensor, tolerance: float, most: int) -> tuple[Tensor, Tensor] | None:
    """L (n, k) and orthonormal Q (d, k) with ‖M - L Qᵀ‖ ≤ tolerance ‖M‖ (Frobenius); None if k would be over `most`.

    The range of Mᵀ is found from random samples of it with one power iteration (Halko, Martinsson and Tropp,
    arXiv 0909.4061), the first round in single precision; what it misses is measured and not estimated. Where the
    first round misses far more than it would of a matrix that can be so thin (their theorem 10.5), it is the last.
    """
    size = min(most + 16, *matrix.shape)
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(len(matrix), size, generator=generator).to(matrix.device)
    whole, hopeless = float(matrix.square().sum()), max(_COARSE, _FAR * tolerance) ** 2
    if torch.get_float32_matmul_precision() != "highest":
        hopeless = 1.0  # the first round tells too little
    for rounded in (matrix.float(), matrix):
        basis = torch.linalg.qr(rounded.T @ sample.to(rounded)).Q
        sample = rounded @ basis
        if float(sample.double().square().sum()) < (1 - hopeless) * whole:
            return None
    return shortened(sample, basis, tolerance, most, whole)


def shortened(
    left: Tensor, basis: Tensor, tolerance: float, most: int, whole: float | None = None
) -> tuple[Tensor, Tensor] | None:
    """L (n, k) and Q (d, k) for M = left basisᵀ with the fewest columns that the tolerance of `thin` allows, or None.

    Args:
        left: (n, r), float64.
        basis: (d, r), orthonormal.
        tolerance: Share of M that may be left out.
        most: The greatest k.
        whole: ‖M‖², where the product misses some of M.
    """
    values, vectors = torch.linalg.eigh(left.T @ left)
    found = values.clamp(min=0)
    whole = float(found.sum()) if whole is None else whole
    missed = max(0.0, whole - float(found.sum()))
    rest = missed + found.cumsum(0)  # without the first i + 1 of the values, which are the smallest
    drop = int((rest <= tolerance**2 * whole).sum())
    rank = max(1, len(values) - drop)
    if missed > tolerance**2 * whole or rank > most:
        return None
    chosen = vectors[:, len(values) - rank :].flip(1)
    return left @ chosen, basis @ chosen


def reflectors(basis: Tensor) -> Tensor:
    """V (d, h) of a rotation Q = I - V T Vᵀ of Householder reflections whose first h columns span `basis`, (d, h).

    No entry of V is larger than 1. T is not needed: its inverse is the upper triangle of Vᵀ V with half its diagonal.
    """
    packed, _ = torch.geqrf(basis)
    return packed.tril(-1) + torch.eye(*basis.shape).to(basis)


def rotated(rows: Tensor, vectors: Tensor, *, back: bool = False) -> Tensor:
    """Rows (n, d) times the rotation of `reflectors`, or times its inverse."""
    overlaps = vectors.T @ vectors
    inner = overlaps.triu(1) + overlaps.diag().diag() / 2
    inner = inner.T if back else inner
    turned: Tensor = torch.linalg.solve_triangular(inner, rows @ vectors, upper=not back, left=False) @ vectors.T
    return rows - turned


def _factorise(function: Callable[[Tensor], T], matrix: Tensor, poll: Callable[[], None]) -> T:
    return interruptible(function, matrix, poll=poll) if max(matrix.shape) > _PATIENCE else function(matrix)


def add_rows(total: Tensor, rows: Tensor, values: Tensor) -> None:
    """total[rows] += values, where rows may repeat; the same bits every time."""
    if total.device.type == "cpu":
        total.index_add_(0, rows, values)
    else:  # adds in the order that threads arrive in; index_put_ sorts instead
        total.index_put_((rows,), values, accumulate=True)
