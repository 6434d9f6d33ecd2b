"""The same edit on a GPU: close to the CPU's, and the same bits every time. Needs a GPU; skipped without one."""

from __future__ import annotations

import pytest
import torch

from pack.scapre.encode import encode_request
from pack.scapre.solve import solve_edit
from pack.tests.worlds import CASES, LISTS, SHAPES, WIDTH, Encoder, Projections, ask, error

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize("case", CASES)
def test_a_gpu_gives_the_same_edit(case):
    request, projections = ask(LISTS["many"], CASES[case]), Projections(SHAPES)
    states, _ = encode_request(Encoder(WIDTH), request)
    first, again = (solve_edit(states, projections, request, device="cuda") for _ in range(2))
    reference = solve_edit(states, projections, request, dtype=torch.float64)
    for name, weight in projections.weights.items():
        moved = [edit.to("cuda").delta(name, weight.cuda()).cpu() for edit in (first, again)]
        assert torch.equal(*moved)
        assert error(moved[0], reference.delta(name, weight)) < 1e-4
