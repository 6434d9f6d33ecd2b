"""States that call up what an edit took away, against their equation and against what an exact inverse would find."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pack.scapre.errors import ScaPreError
from pack.scapre.probe.attack import calling_up

WIDTH = 6


def matrices(count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(9 + number, WIDTH, generator=generator) for number in range(count)]


def test_they_are_the_least_squares_of_the_equation() -> None:
    generator = torch.Generator().manual_seed(1)
    pairs = [(before, before + torch.randn(before.shape, generator=generator)) for before in matrices()]
    mean = sum(float(after.double().square().sum()) for _, after in pairs) / WIDTH
    found = calling_up(pairs, ridge=0.2)
    state = torch.randn(WIDTH, generator=generator, dtype=torch.float64)
    stacked = torch.cat([*(after.double() for _, after in pairs), (0.2 * mean) ** 0.5 * torch.eye(WIDTH).double()])
    wanted = torch.cat([*(before.double() @ state for before, _ in pairs), torch.zeros(WIDTH).double()])
    assert (found @ state - torch.linalg.lstsq(stacked, wanted).solution).abs().max() < 1e-9


def test_an_edit_that_can_be_turned_round_is() -> None:
    change = torch.eye(WIDTH).double() + 0.3 * torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(2))
    found = calling_up(((before.double(), before.double() @ change) for before in matrices()), ridge=1e-12)
    assert (change @ found - torch.eye(WIDTH)).abs().max() < 1e-6
    same = calling_up(((before, before) for before in matrices()), ridge=1e-12)
    assert (same - torch.eye(WIDTH)).abs().max() < 1e-6


def test_what_is_gone_for_good_is_not_called_up() -> None:
    direction = torch.nn.functional.normalize(torch.randn(WIDTH, dtype=torch.float64), dim=0)
    without = torch.eye(WIDTH).double() - torch.outer(direction, direction)
    found = calling_up((before.double() @ without, before.double() @ without) for before in matrices())
    assert (found @ direction).norm() < 1e-9


def test_a_model_that_answers_nothing_is_refused() -> None:
    with pytest.raises(ScaPreError, match=r"^edited: .*answer nothing"):
        calling_up((before, torch.zeros_like(before)) for before in matrices())
