"""FIA in float64, straight from Eq. 1 to 8 of arXiv 2601.06163, with loops over stored activations; it shares no code.

What is seen is handed in: seen[prompt][step][layer] is (X, Y), (positions, d) and (positions, n).
"""

from __future__ import annotations

import math

import torch


def saliency(weight, x, y):
    """Eq. 1."""
    u = torch.zeros_like(weight)
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            a, b = x[:, j], y[:, i]
            cosine = abs(sum(a * b)) / (math.sqrt(sum(a * a)) * math.sqrt(sum(b * b)) + 1e-8)
            u[i, j] = abs(weight[i, j]) * math.sqrt(sum(a * a)) * cosine
    return u


def as_released(weight, x, y):
    """|W_ij| ‖X_j‖ with rows of X of length 1."""
    u = torch.zeros_like(weight)
    rows = torch.stack([row / row.norm() for row in x])
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            u[i, j] = abs(weight[i, j]) * math.sqrt(sum(rows[:, j] ** 2))
    return u


def contrast(of_concept, of_base):
    """Eq. 2: what prompts of a concept have more than base prompts, beyond their deviation."""
    mean_c = sum(of_concept) / len(of_concept)
    mean_b = sum(of_base) / len(of_base)
    deviation = (sum((u - mean_b) ** 2 for u in of_base) / len(of_base)) ** 0.5
    return (mean_c - mean_b - deviation).clamp(min=0)


def sensitivity(steps, r1, scaled):
    """Eq. 3."""
    strength, often = torch.zeros_like(steps[0]), torch.zeros_like(steps[0])
    for s in steps:
        ranked = sorted(s.flatten().tolist(), reverse=True)
        limit = ranked[int(r1 * len(ranked))]
        strength += s / len(steps)
        often += (s > limit).double() / len(steps)
    if scaled:
        strength = strength / strength.max()
    return strength / 2 + often / 2


def selected(a, r2):
    """Eq. 4 to 6, as a set of places."""
    n, d = a.shape
    rows = set()
    for i in range(n):
        best = sorted(range(d), key=lambda j: -a[i, j].item())
        rows |= {(i, j) for j in best[: max(1, int(r2 * d))]}
    every = sorted(((i, j) for i in range(n) for j in range(d)), key=lambda place: -a[place].item())
    layer = set(every[: max(1, int(r2 * n * d))])
    return {place for place in rows & layer if a[place] > 0}


def cut(concepts, preserved, alpha):
    """Eq. 7 and 8, and what preserved names need; one concept alone is cut."""
    limit = max(2, math.ceil(round(alpha * len(concepts), 9)))
    found = set()
    for place in set().union(*concepts):
        count = sum(place in q for q in concepts)
        if 0 < count < limit and not any(place in q for q in preserved):
            found.add(place)
    return found


def masks(weights, seen, base, named, concepts, settings):
    """What is cut of every layer.

    Args:
        weights: (n, d) by layer.
        seen: See above.
        base: Numbers of the base prompts.
        named: Numbers of the prompts of each name, concepts first.
        concepts: How many of the names are concepts.
        settings: Of FIA.
    """
    measure = as_released if settings.saliency == "released" else saliency
    found = []
    for layer, weight in enumerate(weights):

        def u(prompt, step, layer=layer, weight=weight):
            return measure(weight, *seen[prompt][step][layer])

        qs = []
        for prompts in named:
            steps = [contrast([u(p, t) for p in prompts], [u(p, t) for p in base]) for t in range(settings.recorded)]
            a = sensitivity(steps, settings.persistence_ratio, settings.saliency == "released")
            qs.append(selected(a, settings.neuron_ratio))
        found.append(cut(qs[:concepts], qs[concepts:], settings.agnostic_ratio))
    return found
