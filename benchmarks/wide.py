"""How long an edit of a list takes on the largest models: `python -m benchmarks.wide`.

The text projections have the shapes of Wan 14B (40 layers, keys and values of 5,120 x 5,120) and random weights, each
made when it is read and held no longer than that. States are random rows of that width: no text is encoded, and what
leads from the encoder to them is not in the time. Making the weights is, and it is told apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LAYERS, WIDTH = 40, 5120
COUNT = 50
METHODS = ("auto", "uce")


def measure(method: str, count: int, layers: int, width: int) -> dict[str, Any]:
    """Seconds and memory of one method: moments and solve, and the change of every matrix."""
    import torch

    from scapre.concepts.concepts import parse_concepts
    from scapre.encode import encode_request
    from scapre.families import Role
    from scapre.methods import METHODS as all_methods
    from scapre.request import Request
    from scapre.solve import solve_edit

    from .synthetic import PeakMemory, States, machine

    class Weights:
        family = "benchmark"
        seconds = 0.0

        def __init__(self) -> None:
            self.roles = {f"matrix {i}": (Role.KEY, Role.VALUE)[i % 2] for i in range(2 * layers)}

        def read(self, name: str, device: torch.device) -> torch.Tensor:
            began = time.perf_counter()
            generator = torch.Generator().manual_seed(int(name.split()[1]))
            weight = torch.randn(width, width, generator=generator).div_(width**0.5)
            self.seconds += time.perf_counter() - began
            return weight.to(device)

        def shape(self, name: str) -> tuple[int, ...]:
            return width, width

    torch.set_grad_enabled(False)
    cpu, weights, solver = torch.device("cpu"), Weights(), all_methods[method]
    names = "\n".join(f"name{index} {'word ' * (index % 4)}" for index in range(count))
    request = Request(parse_concepts(names), ("kept one", "kept two"), solver.settings(), method=method)
    with PeakMemory(cpu) as peak:
        began = time.perf_counter()
        states, _ = encode_request(States(width), request)
        moments = time.perf_counter() - began
        edit = solve_edit(states, weights, request)
        solved = time.perf_counter() - began - moments
        making = weights.seconds
        del states
        for name in edit.matrices:
            edit.delta(name, weights.read(name, cpu))
        applied = time.perf_counter() - began - moments - solved
    return {
        "method": method, "concepts": count, "matrices": len(edit.matrices), "width": width,
        "states and moments": moments, "solve": solved, "of it making weights": making, "apply": applied,
        "of it making weights again": weights.seconds - making, "peak MB": peak.megabytes,
        "one matrix MB": 4 * width**2 / 1e6, "machine": machine(cpu),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wide", description=__doc__)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/wide.json"))
    options = parser.parse_args(arguments)
    rows = []
    for method in options.methods:
        rows.append(measure(method, options.count, options.layers, options.width))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
