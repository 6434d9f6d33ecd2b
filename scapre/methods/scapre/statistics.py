"""The ridge system that both ScaPre variants solve, in the eigenbasis of the token states.

Symbols of arXiv 2601.06162, with d the text width, n the rows of a projection W, m concepts, T pairs of each:
x_t, y_t aligned token pairs; C = [c_1 .. c_m]; P = C Cᵀ; S = s Σ x xᵀ; r_ij the gate; λ ridge, s erase scale.

P + S = Q Λ Qᵀ is the same for every matrix and row, and all that an edit changes lies in the span of Q (k = rank).
In its coordinates a ridge is a division by a column's Λ + ridge. That is why float32 is enough for the rows: each
column is rounded relative to its own scale, while in the original coordinates the largest eigenvalue, 10⁶ times the
ridge, would drown the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...linalg import gram, left_singular, product, range_basis
from ...progress import Progress
from ...states.alignment import align
from ...states.prompts import NULL, Pair
from ...states.token_states import TokenStates
from ..payload import Tensors
from .informax import SAMPLES, gate_codes, gate_levels, noise_bank, retention
from .settings import Settings

_SINGULAR = 1e-8  # of (CᵀC + 1e-8 I)⁻¹ in the subject projector


@dataclass(frozen=True)
class Probe:
    """What only the statistics of a matrix need: columns [c_1 .. c_m, e0, noise], (d, m + 1 + noise), float64."""

    columns: Tensor
    concepts: int


def build_shared(
    states: TokenStates,
    pairs: Sequence[Pair],
    settings: Settings,
    dtype: torch.dtype,
    progress: Progress,
) -> dict[str, Tensor]:
    """Token statistics that all matrices share.

    Args:
        states: Encoder outputs.
        pairs: Concepts and anchors; those of one anchor side by side.
        settings: For the erase scale.
        dtype: Of basis, tokens and anchors.
        progress: Told each step; may raise to stop.

    Returns:
        basis: (d, k) Q. eigenvalues: (k,) Λ, float64.
        tokens: (m, T, k) x in the basis, zero beyond a concept's last pair.
        anchors: (A, T, d) y of each distinct anchor. target: (m,) index of a concept's anchor, ascending.
        directions: (k, r) left singular vectors of C in the basis. sigma: (r,) singular values; both float64.
    """
    device = states.states.device
    alignment = align(states, pairs)
    flat = states.states
    valid = torch.arange(alignment.source.shape[1]) < alignment.count[:, None]
    blocks = torch.arange(len(pairs)).split(block_size(device, alignment.source.shape[1] * states.width))

    def tokens(index: int, done: int = 0) -> Tensor:
        progress("statistics", done + index, 2 * len(blocks))
        rows = flat[alignment.source[blocks[index]].to(device)].double()
        return rows * valid[blocks[index]].to(device)[..., None]

    def poll() -> None:
        progress("statistics", len(blocks), 2 * len(blocks))

    concepts = subjects(states, pairs)
    matrix = gram(lambda index: tokens(index).flatten(0, 1), len(blocks), states.width, device)
    matrix = settings.erase_scale * matrix + concepts.T @ concepts
    values, basis = range_basis(matrix, poll)
    anchors = flat[alignment.anchors.to(device)].to(dtype)
    rotated = torch.empty((*alignment.source.shape, len(values)), dtype=dtype, device=device)
    for index, block in enumerate(blocks):
        rotated[block[0] : block[-1] + 1] = tokens(index, len(blocks)) @ basis
    directions, sigma = left_singular((concepts @ basis).T, poll)
    return {
        "basis": basis.to(dtype),
        "eigenvalues": values,
        "tokens": rotated,
        "anchors": anchors,
        "target": alignment.target.to(device),
        "directions": directions,
        "sigma": sigma,
    }


def block_size(device: torch.device, entry: int) -> int:
    """How many entries of so many numbers to work on at once: a block fits a CPU's cache, or keeps a GPU busy."""
    return max(1, (2**19 if device.type == "cpu" else 2**25) // entry)


def subjects(states: TokenStates, pairs: Sequence[Pair]) -> Tensor:
    """Cᵀ: the states of the last subject tokens, (m, d), float64."""
    return torch.stack([states.subject(pair.concept) for pair in pairs]).double()


def build_probe(states: TokenStates, pairs: Sequence[Pair], settings: Settings, seed: int) -> Probe:
    """Columns whose responses the gate and the retention are read from; e0 is E("")[1]."""
    noise = noise_bank(seed, states.width, settings).to(states.states.device)
    neutral = states.of(NULL)[1].double()
    return Probe(torch.cat((subjects(states, pairs), neutral[None], noise)).T.contiguous(), len(pairs))


def fit_rows(probe: Probe, weight: Tensor, settings: Settings) -> dict[str, Tensor]:
    """Gate and retention of one matrix (n, d).

    Returns:
        retention: (n,), float64; and with the gate on
        codes, levels, base: a `Gate`; peak: (n,) max_i r_ij, float64.
    """
    step = block_size(weight.device, max(weight.shape[1], probe.columns.shape[1]))
    blocks = [_fit_block(probe, block, settings) for block in weight.split(step)]
    rows = {key: torch.cat([block[key] for block in blocks]) for key in blocks[0]}
    if settings.informax:
        compact = gate_levels(rows["codes"], settings)
        rows |= {"codes": compact.codes, "levels": compact.levels, "base": compact.base, "peak": compact.peak()}
    return rows


def _fit_block(probe: Probe, weight: Tensor, settings: Settings) -> dict[str, Tensor]:
    """Retention of some rows, and with the gate on their codes."""
    response = weight.double() @ probe.columns
    concepts, neutral, noise = response.split((probe.concepts, 1, response.shape[1] - probe.concepts - 1), 1)
    rows = {"retention": retention(concepts, noise[:, 2 * SAMPLES :], settings.bins)}
    if settings.informax:
        rows["codes"] = gate_codes(concepts, neutral[:, 0], noise[:, : 2 * SAMPLES])
    return rows


def singular_gate(shared: Tensors, settings: Settings) -> Tensor:
    """g = sigmoid((σ - median σ) / T)^q over the singular values of C, (r,), float64."""
    sigma = shared["sigma"]
    centred = (sigma - sigma.median()) / settings.spectral_temperature
    return torch.sigmoid(centred) ** settings.spectral_power


def subject_projector(shared: Tensors) -> Tensor:
    """U with Π = U Uᵀ = C (CᵀC + 1e-8 I)⁻¹ Cᵀ, (k, r), float64."""
    sigma = shared["sigma"]
    return shared["directions"] * (sigma / (sigma**2 + _SINGULAR).sqrt())


def rotate(weight: Tensor, shared: Tensors) -> Tensor:
    """W Q, (n, k): the rows in the coordinates of the basis."""
    return product(weight, shared["basis"])
