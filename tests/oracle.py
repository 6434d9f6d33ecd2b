"""ScaPre row by row in float64, straight from the equations: slow, plain, and sharing no code with `scapre`.

Every concept is a pair of states (77, d) with the positions of their last subject tokens. The noise is handed in.
"""

from __future__ import annotations

import math

import torch

SAMPLES = 5


def items_of(states, pairs):
    """What `edited` takes for each pair, from the states of all texts."""
    return [
        (states.of(p.concept.text), states.last[p.concept.head], states.of(p.anchor.text), states.last[p.anchor.head])
        for p in pairs
    ]


def edited(weight, items, empty, noise, o):
    """W' (n, d). items: (E_concept, f, E_anchor, g); empty: E(""); noise: (10 + samples, d); o: settings."""
    weight = weight.double()
    items = [(x.double(), f, y.double(), g) for x, f, y, g in items]
    gate = informax(weight, items, empty.double()[1], noise[: 2 * SAMPLES], o)
    kept = retention(weight, items, noise[2 * SAMPLES :], o)
    if o.variant == "precise":
        return precise(weight, items, gate, kept, o)
    return scale(weight, items, gate, kept, o)


def aligned(item):
    """x rows and y rows."""
    x, f, y, g = item
    k = max(f, g)
    return x[f : 77 - (k - f)], y[g : 77 - (k - g)]


def concept_matrix(items):
    """C (d, m)."""
    return torch.stack([x[f] for x, f, _, _ in items], 1)


def informax(weight, items, neutral, noise, o):
    """r (n, m)."""
    rows = len(weight)
    gate = torch.ones(rows, len(items), dtype=torch.float64)
    if not o.informax:
        return gate
    for i, (x, f, _, _) in enumerate(items):
        samples = torch.cat((x[f] + noise[:SAMPLES], neutral + noise[SAMPLES:]))
        label = [1] * SAMPLES + [0] * SAMPLES
        information = torch.empty(rows, dtype=torch.float64)
        for j in range(rows):
            values = (samples @ weight[j]).tolist()
            median = sorted(values)[SAMPLES - 1]
            table = [[1e-8, 1e-8], [1e-8, 1e-8]]
            for value, kind in zip(values, label, strict=True):
                table[int(value > median)][kind] += 1
            p = [[count / 10 for count in row] for row in table]
            information[j] = sum(
                p[a][b] * math.log(p[a][b] / (sum(p[a]) * (p[0][b] + p[1][b]))) for a in (0, 1) for b in (0, 1)
            )
        spread = information.std() if rows > 1 else torch.tensor(0.0)
        z = (information - information.mean()) / spread if spread > 1e-12 else torch.zeros(rows, dtype=torch.float64)
        gate[:, i] = torch.sigmoid(z / o.gate_temperature) ** o.gate_power
    return gate


def retention(weight, items, noise, o):
    """e (n)."""
    kept = []
    for row in weight:
        values = torch.cat([(x[f] + noise) @ row for x, f, _, _ in items])
        spread = values.max() - values.min()
        if spread == 0:
            kept.append(1.0)
            continue
        place = ((values - values.min()) / spread * o.bins).floor().clamp(max=o.bins - 1).long()
        p = torch.bincount(place, minlength=o.bins).double() / len(values)
        kept.append(1 - float(-(p[p > 0] * p[p > 0].log()).sum()) / math.log(o.bins))
    return torch.tensor(kept, dtype=torch.float64)


def singular_gate(c, o):
    """Left vectors and values of C without its null space, and their gate."""
    u, sigma, _ = torch.linalg.svd(c, full_matrices=False)
    keep = sigma > sigma[0] * 2.2e-16 * max(c.shape)
    u, sigma = u[:, keep], sigma[keep]
    return u, torch.sigmoid((sigma - sigma.median()) / o.spectral_temperature) ** o.spectral_power


def target_values(weight, item, o):
    """V (n, T): what each aligned token's value becomes."""
    x, y = aligned(item)
    v = weight @ y.T
    if o.technique == "tensor":
        u = weight @ x.T
        u = u / u.norm()
        v = v - (u * v).sum() * u
    return v


def quadratic(items, o):
    """P + S."""
    c = concept_matrix(items)
    return c @ c.T + o.erase_scale * sum(aligned(item)[0].T @ aligned(item)[0] for item in items)


def right_hand(weight, items, gate, o):
    """Sum over concepts of r_ij (W N_i)_j."""
    total = torch.zeros_like(weight)
    for i, item in enumerate(items):
        total += gate[:, i : i + 1] * (target_values(weight, item, o) @ aligned(item)[0])
    return total


def precise(weight, items, gate, kept, o):
    a = o.ridge * weight + o.erase_scale * right_hand(weight, items, gate, o)
    if o.residual:
        c = concept_matrix(items)
        u, g = singular_gate(c, o)
        residual = c - u @ torch.diag(g) @ u.T @ c
        a = a - o.erase_scale * (weight @ residual) @ residual.T
    b = o.ridge * torch.eye(weight.shape[1], dtype=torch.float64) + quadratic(items, o)
    solved = torch.linalg.solve(b, a.T).T
    blend = (o.alpha_min + (1 - o.alpha_min) * kept)[:, None]
    return blend * solved + (1 - blend) * weight


def scale(weight, items, gate, kept, o):
    d = weight.shape[1]
    entropy = (1 - kept).clamp(0, 1)
    mu = entropy.mean()
    c = concept_matrix(items)
    eye = torch.eye(d, dtype=torch.float64)
    projector = c @ torch.linalg.solve(c.T @ c + 1e-8 * torch.eye(c.shape[1], dtype=torch.float64), c.T)
    g = (o.ridge + mu) * eye + quadratic(items, o)
    if o.spectral:
        u, weak = singular_gate(c, o)
        g = g + mu * u @ torch.diag(1 - weak) @ u.T
    right = (o.ridge + mu) * weight + o.erase_scale * right_hand(weight, items, gate, o)
    out = torch.empty_like(weight)
    for j in range(len(weight)):
        matrix = g + o.erase_scale * gate[j].max() * projector
        solved = torch.linalg.solve(matrix, right[j])
        row = bures(weight[j], solved, o.ridge + mu, mu, o.bures_steps)
        out[j] = valve(weight[j], row, entropy[j], entropy.max()) if o.row_valve else row
    return out


def unit(v):
    return v / v.norm() if v.norm() > 0 else v


def bures(old, new, ridge, mu, steps):
    a, u_a, r0, u0 = new.norm(), unit(new), old.norm(), unit(old)
    u, r = u_a, a
    for _ in range(steps):
        kappa = torch.clamp(u @ u0, min=0)
        r = (ridge * a + mu * r0 * kappa) / (ridge + mu)
        u = unit(ridge * a * u_a + mu * r0 * kappa * u0)
    return r * u


def valve(old, new, entropy, most):
    alpha = 1 - torch.exp(-entropy / most)
    cosine = unit(old) @ unit(new)
    beta = alpha * torch.clamp(cosine, min=0)
    direction = unit((1 - beta) * unit(old) + beta * unit(new))
    if old.norm() == 0 or new.norm() == 0:
        return torch.zeros_like(old)
    return torch.exp(((1 - alpha) * (old.norm() ** 2).log() + alpha * (new.norm() ** 2).log()) / 2) * direction
