"""Which rows of a projection tell a concept from the empty prompt, and which rows carry everything.

Informax gate and retention of ScaPre (arXiv 2601.06162). One bank of noise serves all concepts and matrices: each
concept's samples have the stated distribution, and neither the order of the list nor its other entries change them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from .settings import Settings

SAMPLES = 5  # positive samples of the gate, and as many negative ones
CODES = (SAMPLES + 1) ** 2
_QUERIES = 2**20  # search queries at a time, 8 MB
_COLUMNS = 64  # concepts at a time


def noise_bank(seed: int, width: int, settings: Settings) -> Tensor:
    """Noise of all samples, (5 + 5 + samples, width), float64; drawn on the CPU so that devices agree."""
    generator = torch.Generator().manual_seed(seed)
    rows = 2 * SAMPLES + settings.samples
    return settings.noise * torch.randn(rows, width, generator=generator, dtype=torch.float64)


def gate_codes(concepts: Tensor, neutral: Tensor, noise: Tensor) -> Tensor:
    """Counts, for each row and concept, the positive and negative samples above the lower median of all ten.

    With both kinds sorted in descending order, the k-th positive is above the median if and only if it exceeds the
    (6 - k)-th negative. That makes five thresholds a row, which serve every concept.

    Args:
        concepts: (n, m) responses W c_i.
        neutral: (n,) responses W e0.
        noise: (n, 10) responses to the noise, positive samples first.

    Returns:
        (n, m) uint8, 6 * a + b for a, b the counts above of the two kinds, the greater first.
    """
    positive = noise[:, :SAMPLES].sort(-1, descending=True).values
    negative = noise[:, SAMPLES:].sort(-1).values
    thresholds = neutral[:, None] + negative - positive
    above = torch.zeros(concepts.shape, dtype=torch.uint8, device=concepts.device)
    below = torch.zeros_like(above)
    for k in range(SAMPLES):
        above += concepts > thresholds[:, k : k + 1]
        below += concepts < thresholds[:, k : k + 1]
    # The information does not change when the two kinds trade places, so both ways of being certain share a code.
    return torch.maximum(above, below) * (SAMPLES + 1) + torch.minimum(above, below)


@cache
def _information() -> tuple[float, ...]:
    """Mutual information (nats) of the thresholded response and the label, for each code."""
    return tuple(_mutual_information(*divmod(code, SAMPLES + 1)) for code in range(CODES))


def _mutual_information(above: int, below: int) -> float:
    counts = [[above, below], [SAMPLES - above, SAMPLES - below]]
    joint = [[(count + 1e-8) / (2 * SAMPLES) for count in row] for row in counts]
    column = [sum(row[y] for row in joint) for y in range(2)]
    return sum(p * math.log(p / (sum(row) * column[y])) for row in joint for y, p in enumerate(row))


@dataclass(frozen=True)
class Gate:
    """The gate r (n, m) in compact form: r_ij = levels[i, codes[j, i]].

    Attributes:
        codes: (n, m) uint8, numbered by the levels that occur.
        levels: (m, levels) gate values, float64.
        base: (m,) the commonest code of each concept.
    """

    codes: Tensor
    levels: Tensor
    base: Tensor

    def peak(self) -> Tensor:
        """max_i r_ij, (n,), float64, without all r_ij at once."""
        parts = zip(self.codes.split(_COLUMNS, dim=1), self.levels.split(_COLUMNS), strict=True)
        return torch.stack([gate_values(codes, levels).amax(1) for codes, levels in parts]).amax(0)


def gate_values(codes: Tensor, levels: Tensor) -> Tensor:
    """Gate values r_ij (n, m) behind the codes."""
    return levels[torch.arange(len(levels), device=codes.device), codes.long()]


def gate_levels(codes: Tensor, settings: Settings) -> Gate:
    """Gate value of every code, for each concept.

    r = sigmoid(z / temperature)^p with z the z-score of the information over the rows (unbiased). Where all rows tell
    equally much, z is 0.

    Args:
        codes: (n, m) from `gate_codes`.
        settings: For the temperature and power.
    """
    rows = len(codes)
    counts = torch.cat([_histogram(part) for part in codes.split(_COLUMNS, dim=1)]).double()
    information = torch.tensor(_information(), dtype=torch.float64, device=codes.device)
    mean = (counts @ information / rows)[:, None]
    variance = (counts * (information - mean) ** 2).sum(-1, keepdim=True) / max(rows - 1, 1)
    spread = variance.sqrt()
    z = torch.where(spread > 1e-12, (information - mean) / spread.clamp(min=1e-12), torch.zeros_like(mean))
    levels = torch.sigmoid(z / settings.gate_temperature) ** settings.gate_power
    present = counts.any(0)
    number = present.cumsum(0).sub(1).clamp(min=0)
    return Gate(number.to(torch.uint8)[codes.long()], levels[:, present], number[counts.argmax(-1)])


def _histogram(codes: Tensor) -> Tensor:
    """How often each code occurs in each column, (m, 36)."""
    columns = codes.shape[1]
    flat = codes.long() + CODES * torch.arange(columns, device=codes.device)
    return torch.bincount(flat.flatten(), minlength=columns * CODES).view(columns, CODES)


def retention(concepts: Tensor, noise: Tensor, bins: int) -> Tensor:
    """How concentrated a row's responses are: 1 - entropy / log(bins) of their histogram, (n,), float64.

    Args:
        concepts: (n, m) responses W c_i.
        noise: (n, S) responses to the noise; every sum W c_i + W ε_s is one response of the row.
        bins: Number of bins between the least and the greatest response of a row.
    """
    short, long = sorted((concepts, noise), key=lambda t: t.shape[1])
    rows = max(1, _QUERIES // (bins * short.shape[1]))
    parts = zip(short.split(rows), long.split(rows), strict=True)
    return 1 - torch.cat([_normalised_entropy(a, b, bins) for a, b in parts])


def _normalised_entropy(short: Tensor, long: Tensor, bins: int) -> Tensor:
    """Entropy over log(bins) of all sums of one entry of `short` (n, a) and one of `long` (n, b).

    How many sums lie below a bin's edge follows from a binary search in the longer list: they are never formed.
    """
    low = short.amin(1, keepdim=True) + long.amin(1, keepdim=True)
    high = short.amax(1, keepdim=True) + long.amax(1, keepdim=True)
    steps = torch.arange(1, bins, dtype=low.dtype, device=low.device) / bins
    edges = low + (high - low) * steps
    queries = (edges[:, :, None] - short[:, None, :]).flatten(1)
    below = torch.searchsorted(long.sort(-1).values, queries).view(len(low), bins - 1, -1).sum(-1)
    total = short.shape[1] * long.shape[1]
    none, all_ = below.new_zeros(len(low), 1), below.new_full((len(low), 1), total)
    share = torch.cat((none, below, all_), 1).diff().double() / total
    entropy = -torch.special.xlogy(share, share).sum(-1) / math.log(bins)
    # A row without any spread falls into one bin; its edges all coincide, so the search would say otherwise.
    return torch.where(high[:, 0] > low[:, 0], entropy, torch.zeros_like(entropy))
