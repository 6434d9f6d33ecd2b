"""What SPEED holds: preserved names that its edit would move, and variations of them."""

from __future__ import annotations

import torch
from torch import Tensor

from .last_tokens import LastTokens
from .method import Problem


def retained(problem: Problem, last: LastTokens, gram: Tensor) -> Tensor:
    """Mean r rᵀ over the preserved states that are held and their variations r + ε v, (d, d), float64.

    No variation is formed: norms and moments of r + ε v follow from those of r and v.

    Args:
        problem: With the settings of SPEED, and at least one preserved name.
        last: Its states.
        gram: (d, d) Σ WᵀW.
    """
    kept, noise = _drawn(problem, last)
    influence, line = _influence(gram, last), _least(gram)
    square = (kept * (influence @ kept)).sum(0)
    chosen = torch.ones_like(noise, dtype=torch.bool)
    if problem.settings.influence_filter:
        strong = _above_mean(square)
        kept, noise, square = kept[:, strong], noise[strong], square[strong]
        rise = 2 * (line @ influence @ kept)[:, None] + noise * (line @ influence @ line)
        chosen = _above_mean(square[:, None] + noise * rise)
    return _moment(kept, noise * chosen, line, chosen.sum(1))


def _drawn(problem: Problem, last: LastTokens) -> tuple[Tensor, Tensor]:
    """The preserved states (d, p) in the order of their names, and ε for each variation, (p, variations)."""
    order = sorted(range(len(problem.preserve)), key=lambda index: problem.preserve[index])
    generator = torch.Generator().manual_seed(problem.seed)
    noise = torch.randn(len(order), problem.settings.augment, dtype=torch.float64, generator=generator)
    return last.preserved[:, order], noise.to(last.preserved)


def _moment(kept: Tensor, noise: Tensor, line: Tensor, counts: Tensor) -> Tensor:
    """Mean of r rᵀ and (r + ε v)(r + ε v)ᵀ, (d, d).

    Args:
        kept: (d, p) r.
        noise: (p, variations) ε, 0 where a variation does not count.
        line: (d,) v.
        counts: (p,) how many variations of each count.
    """
    across = torch.outer(kept @ noise.sum(1), line)
    total = (kept * (1 + counts)) @ kept.T + across + across.T + noise.square().sum() * torch.outer(line, line)
    return total / (len(counts) + counts.sum())


def _influence(gram: Tensor, last: LastTokens) -> Tensor:
    """EᵀE summed over the matrices, (d, d): rᵀ EᵀE r = ‖E r‖²."""
    count, width = last.concepts.shape[1], len(gram)
    metric = torch.eye(width).to(gram) + last.concepts @ last.concepts.T / count
    spread = torch.cholesky_solve(last.concepts, torch.linalg.cholesky(metric)) / count
    edit = (last.anchors - last.concepts) @ spread.T
    return edit.T @ gram @ edit


def _least(gram: Tensor) -> Tensor:
    """v, the direction that the weights answer least, (d,); its greatest component is positive."""
    line: Tensor = torch.linalg.eigh(gram)[1][:, 0]
    return line * line[line.abs().argmax()].sign()


def _above_mean(square: Tensor) -> Tensor:
    """Which norms are at least their mean; equal ones all are, whatever rounding makes of them."""
    norm = square.clamp(min=0).sqrt()
    return norm >= norm.mean() * (1 - 1e-9)
