"""How long an edit takes where many layers of a language model are read: `python -m benchmarks.deep`.

The matrices have the shapes of HiDream (2,560 x 4,096 for T5 and 48 blocks, a vector of 2,048) and random weights,
each made when it is read. States are random rows, so no text is encoded. Fewer layers than 32 can be taken: each is
solved by itself, after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OUT, WIDTH, VECTOR = 2560, 4096, 2048
METHODS = ("auto", "uce")


def measure(method: str, count: int, layers: int) -> dict[str, Any]:
    """Seconds and memory of one method, and the size of its file."""
    import torch

    from scapre.concepts.concepts import parse_concepts
    from scapre.encode import encode_request
    from scapre.families import Role, hidream
    from scapre.files import write_edit
    from scapre.methods import METHODS as all_methods
    from scapre.request import Request
    from scapre.solve import solve_edit
    from scapre.states.further import chosen

    from .synthetic import PeakMemory, States, machine

    class Weights:
        family = "HiDream"

        def __init__(self) -> None:
            names = {f"diffusion_model.{name}.weight": role for name, role in hidream.ROLES.items()}
            self.roles = {n: r for n, r in names.items() if r is not Role.LAYER or hidream.layer(n) < layers}

        def read(self, name: str, device: torch.device) -> torch.Tensor:
            generator = torch.Generator().manual_seed(len(name) + hidream.layer(name))
            return torch.randn(self.shape(name), generator=generator).div_(WIDTH**0.5).to(device)

        def shape(self, name: str) -> tuple[int, ...]:
            return OUT, VECTOR if self.roles[name] is Role.POOLED else WIDTH

    class Encoder(States):
        def layer(self, number: int) -> States:
            return States(WIDTH)

        def pooled(self, texts: Sequence[str]) -> torch.Tensor:
            return States(VECTOR).encode(texts, lambda *_: None)[:, 1]

    torch.set_grad_enabled(False)
    weights, solver = Weights(), all_methods[method]
    names = "\n".join(f"name{index} {'word ' * (index % 4)}" for index in range(count))
    further, _ = chosen("auto", weights)
    parsed = parse_concepts(names)
    request = Request(parsed, ("kept one", "kept two"), solver.settings(), method=method, further=further)
    with PeakMemory(torch.device("cpu")) as peak:
        began = time.perf_counter()
        states, _ = encode_request(Encoder(WIDTH), request)
        edit = solve_edit(states, weights, request)
        spent = time.perf_counter() - began
    seconds = edit.report.seconds
    with tempfile.TemporaryDirectory() as folder:
        sizes = {}
        for title, whole in (("file MB", True), ("without states MB", False)):
            write_edit(edit, Path(folder) / "edit.safetensors", states=whole)
            sizes[title] = (Path(folder) / "edit.safetensors").stat().st_size / 1e6
    return {
        "method": method, "concepts": count, "layers": layers, "seconds": spent,
        "a layer": seconds["layers of the language model"] / layers, "pooled vector": seconds["pooled vector"],
        **sizes, "peak MB": peak.megabytes, "machine": machine(torch.device("cpu")),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep", description=__doc__)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args(arguments)
    rows = [measure(method, options.count, options.layers) for method in options.methods]
    (Path(__file__).with_name("results") / "deep.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        print(json.dumps(row), file=sys.stdout)


if __name__ == "__main__":
    main()
