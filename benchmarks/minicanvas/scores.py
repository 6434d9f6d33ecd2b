"""From what was read to figures: shares with 95 % intervals, their harmonic mean, a distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .judge import frechet
from .questions import Question

SHARES = {"UA": "erase", "IRA": "in", "CRA": "cross"}
"""Unlearning, in-domain retaining and cross-domain retaining accuracy, and the checks they count."""
CONFIDENCE = 1.959964
RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """A share of checks, with the bounds of its 95 % interval (Wilson's for a share, a bootstrap's for a mean)."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        """Return it with its interval, to two digits."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def wilson(hits: int, count: int) -> Share:
    """Return a share and its Wilson interval."""
    share, z = hits / count, CONFIDENCE
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Share(share, middle - reach, middle + reach, count)


def hits_of(questions: Sequence[Question], words: Mapping[str, Sequence[str]], role: str) -> np.ndarray:
    """Return (questions, 2): for each question, how many checks of a role came out right, and how many there are."""
    found = np.zeros((len(questions), 2))
    for index, question in enumerate(questions):
        for check in question.checks:
            if check.role == role:
                same = words[check.domain][index] == check.word
                found[index] += (same != (role == "erase"), 1)
    return found


def harmonic(shares: Sequence[float]) -> float:
    """Return the harmonic mean, 0 if any is 0."""
    return len(shares) / sum(1 / share for share in shares) if all(shares) else 0.0


def score(questions: Sequence[Question], words: Mapping[str, Sequence[str]]) -> dict[str, Share]:
    """Return UA, IRA, CRA and H, and as "beside" how often what a target prompt says besides the target was read.

    H is the harmonic mean of those of the three that the questions ask for; its interval resamples the questions.
    """
    hits = {name: hits_of(questions, words, role) for name, role in (SHARES | {"beside": "beside"}).items()}
    asked = {name: found for name, found in hits.items() if found[:, 1].any()}
    shares = {name: wilson(int(found[:, 0].sum()), int(found[:, 1].sum())) for name, found in asked.items()}
    parts = [asked[name] for name in SHARES if name in asked]
    random = np.random.Generator(np.random.PCG64(0))
    means = []
    for _ in range(RESAMPLES):
        chosen = random.integers(len(questions), size=len(questions))
        sums = [part[chosen].sum(0) for part in parts]
        if all(count for _, count in sums):
            means.append(harmonic([right / count for right, count in sums]))
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    value = harmonic([shares[name].value for name in SHARES if name in shares])
    return shares | {"H": Share(value, low, high, len(questions))}


def distance(questions: Sequence[Question], features: Tensor, drawn: Tensor) -> float | None:
    """Return the Fréchet distance of what was made for retained prompts from drawings of the same.

    Args:
        questions: what was asked.
        features: (questions, FEATURES), what the judge saw.
        drawn: (compared questions, FEATURES), what it saw in the drawings.
    """
    kept = [index for index, question in enumerate(questions) if compared(question)]
    return frechet(features[kept], drawn) if len(kept) > 1 else None


def compared(question: Question) -> bool:
    """Tell whether a question's picture is compared with a drawing."""
    return question.retained and question.shows is not None
