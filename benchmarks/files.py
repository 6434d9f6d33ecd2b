"""How large edit files are and how long saving and loading takes: `python -m benchmarks.files` prints one table.

Edits are solved on the synthetic weights and states of `benchmarks.solve`, of which only the shapes count here. Every
row runs in a process of its own. Loading is timed from the page cache, as after a download; `apart` is what Apply Edit
spends on comparing the weights.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

# What needs torch is imported where it is used: --help must not need it.
from .solve import SHAPES

if TYPE_CHECKING:
    import torch

    from .synthetic import Weights

COUNTS = (1, 10, 50)


def measure(model: str, count: int, preset: str, folder: str) -> dict[str, Any]:
    """One row of the table."""
    import torch

    from scapre.edits.fingerprint import sample
    from scapre.encode import encode_request
    from scapre.files import read_edit, write_edit
    from scapre.solve import solve_edit

    from .synthetic import PeakMemory, States, Weights, ask

    shapes, cpu = SHAPES[model], torch.device("cpu")
    weights, request = Weights(shapes, cpu), ask(count, preset)
    edit = solve_edit(encode_request(States(shapes[0][1]), request)[0], weights, request)
    path = Path(folder) / f"{model}-{count}.safetensors"
    row: dict[str, Any] = {"model": model, "concepts": count, "save s": seconds(lambda: write_edit(edit, path))}
    private = path.with_suffix(".private.safetensors")
    write_edit(edit, private, names=False)
    row |= {"load s": seconds(lambda: read_edit(path))}
    with PeakMemory(cpu) as memory:
        loaded = read_edit(path)
    samples = {name: sample(weights.read(name, cpu)) for name in weights.roles}
    row["apart s"] = seconds(lambda: loaded.difference(samples))
    row |= {"file MB": path.stat().st_size / 1e6, "private MB": private.stat().st_size / 1e6}
    row |= {f"{key} MB": value / 1e6 for key, value in parts(edit).items()}
    row["load peak MB"] = memory.megabytes
    assert all(torch.equal(loaded.delta(n, w), edit.delta(n, w)) for n, w in first(weights))
    return row


def first(weights: Weights) -> list[tuple[str, torch.Tensor]]:
    """One weight of each shape."""
    import torch

    names = {shape: name for name, shape in zip(weights.roles, weights.shapes, strict=True)}
    return [(name, weights.read(name, torch.device("cpu"))) for name in names.values()]


def parts(edit: Any) -> dict[str, int]:
    """Bytes by what they are for."""
    rows = sum(value.nbytes for held in edit.payload.matrices.values() for value in held.values())
    return {
        "tokens": sum(value.nbytes for value in edit.payload.shared.values()),
        "rows": rows,
        "states": edit.states.states.nbytes,
        "sketch": sum(value.nbytes for value in edit.sketch.values()),
    }


def seconds(work: Any, times: int = 3) -> float:
    """The shortest of a few runs."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [
        "| " + " | ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--preset", default="objects-many")
    options = parser.parse_args()
    import torch

    from .synthetic import machine

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model, count in itertools.product(options.models, options.counts):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                rows.append(fresh.submit(measure, model, count, options.preset, folder).result())
            print(f"{model}, {count} concepts: {rows[-1]['file MB']:.1f} MB", file=sys.stderr, flush=True)
    print(f"\n{machine(torch.device('cpu'))}, torch {torch.__version__}, preset {options.preset}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
