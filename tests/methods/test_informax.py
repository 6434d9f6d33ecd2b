"""Gate and retention against their definitions, ties and edges included."""

from __future__ import annotations

import math

import pytest
import torch

from pack.scapre.methods.scapre.informax import gate_codes, gate_levels, gate_values, noise_bank, retention
from pack.scapre.methods.scapre.settings import Settings
from pack.tests import oracle


def items_from(states: torch.Tensor) -> list:
    return [(state.expand(77, -1), 0, state.expand(77, -1), 0) for state in states]


@pytest.mark.parametrize("noise", [0.01, 0.5, 3.0])
def test_the_gate_equals_its_definition_however_the_samples_mix(noise):
    settings = Settings(noise=noise, gate_power=2.5)
    torch.manual_seed(0)
    weight = torch.randn(60, 16, dtype=torch.float64)
    weight[7] = 0
    states, neutral = torch.randn(9, 16, dtype=torch.float64), torch.randn(16, dtype=torch.float64)
    bank = noise_bank(1, 16, settings)[:10]
    codes = gate_codes(weight @ states.T, weight @ neutral, weight @ bank.T)
    compact = gate_levels(codes, settings)
    expected = oracle.informax(weight, items_from(states), neutral, bank, settings)
    assert torch.allclose(gate_values(compact.codes, compact.levels), expected, atol=1e-9)
    assert torch.equal(compact.base, compact.codes.long().mode(0).values)
    if noise == 3.0:
        assert compact.levels.shape[1] > 3  # the case where the gate does not saturate was really met


@pytest.mark.parametrize(
    ("concepts", "samples", "bins"), [(1, 20, 20), (1, 2, 2), (30, 5, 7), (3, 300, 256), (40, 40, 10)]
)
def test_retention_equals_the_histogram_of_all_samples(concepts, samples, bins):
    torch.manual_seed(0)
    weight = torch.randn(50, 16, dtype=torch.float64)
    weight[3] = 0
    states, noise = torch.randn(concepts, 16, dtype=torch.float64), 0.3 * torch.randn(samples, 16, dtype=torch.float64)
    expected = oracle.retention(weight, items_from(states), noise, Settings(bins=bins))
    assert torch.allclose(retention(weight @ states.T, weight @ noise.T, bins), expected, atol=1e-9)


def test_retention_of_constant_and_uniform_rows():
    even = torch.arange(100, dtype=torch.float64)[None]
    assert retention(torch.ones(1, 5), torch.zeros(1, 4), 10).item() == 1
    assert retention(even, torch.zeros(1, 1, dtype=torch.float64), 10).item() == pytest.approx(0, abs=1e-3)


def test_retention_in_chunks_equals_retention_at_once(monkeypatch):
    torch.manual_seed(0)
    concepts, noise = torch.randn(70, 12), torch.randn(70, 9)
    whole = retention(concepts, noise, 8)
    monkeypatch.setattr("pack.scapre.methods.scapre.informax._QUERIES", 100)
    assert torch.equal(retention(concepts, noise, 8), whole)


def test_the_noise_has_the_stated_spread_and_is_repeatable():
    bank = noise_bank(4, 4000, Settings(noise=0.02))
    assert bank.std().item() == pytest.approx(0.02, rel=0.02)
    assert abs(bank.mean().item()) < 3 * 0.02 / math.sqrt(bank.numel())
    assert torch.equal(bank, noise_bank(4, 4000, Settings(noise=0.02)))
    assert not torch.equal(bank, noise_bank(5, 4000, Settings(noise=0.02)))
