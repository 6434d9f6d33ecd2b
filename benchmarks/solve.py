"""How long an edit takes, stage by stage: `python -m benchmarks.solve` prints one table and writes JSON.

Weights and token states are synthetic, with the shapes of the real models and the geometry of CLIP's states (a part
shared by position, a part by text), because the time depends on them alone. Text encoding runs the real architecture
with random weights. The reference is the tests' row-by-row oracle in float64, timed on a few rows and extrapolated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

# What needs torch is imported where it is used: --help must not need it.
if TYPE_CHECKING:
    import torch

    from scapre.edits.edit import Edit
    from scapre.request import Request

    from .synthetic import Weights

SHAPES: dict[str, list[tuple[int, int]]] = {
    "SD1.5": [(width, 768) for width, count in ((320, 10), (640, 10), (1280, 12)) for _ in range(count)],
    "SDXL": [(width, 2048) for width, count in ((640, 20), (1280, 120)) for _ in range(count)],
}
STAGES = ("statistics", "read", "gate and retention", "solve", "report")
COUNTS = (1, 10, 50, 100, 1000)


def measure(model: str, count: int, preset: str, where: str, oracle_rows: int) -> dict[str, Any]:
    """One row of the table. Runs in a process of its own, so that no row finds memory that another has left."""
    import torch

    from scapre.encode import encode_request
    from scapre.solve import solve_edit

    from .synthetic import PeakMemory, States, Weights, ask

    shapes, device = SHAPES[model], torch.device(where)
    weights, request = Weights(shapes, device), ask(count, preset)
    states, _ = encode_request(States(shapes[0][1]), request)
    one = ask(1, preset)
    solve_edit(encode_request(States(shapes[0][1]), one)[0], Weights(shapes[:1], device), one, device=device)  # warm-up
    with PeakMemory(device) as memory:
        began = time.perf_counter()
        edit = solve_edit(states, weights, request, device=device)
        total = time.perf_counter() - began
    row: dict[str, Any] = {"model": model, "concepts": count, "preset": preset, "device": where, "total": total}
    row |= {stage: edit.report.seconds[stage] for stage in STAGES}
    row |= {"apply": apply(edit, weights, device), "peak_mb": memory.megabytes, "edit_mb": edit.nbytes / 1e6}
    if oracle_rows:
        row["oracle_seconds"] = oracle_seconds(request, weights, oracle_rows)
        row["ratio"] = row["oracle_seconds"] / total
    return row


def apply(edit: Edit, weights: Weights, device: torch.device) -> float:
    """Seconds for the dense change of every matrix: what a host spends when it patches the model."""
    import torch

    moved = edit.to(device)
    began = time.perf_counter()
    for name in edit.matrices:
        moved.delta(name, weights.read(name, device))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def oracle_seconds(request: Request, weights: Weights, rows: int) -> float:
    """Seconds that the row-by-row oracle would take, extrapolated from its first rows.

    The slope between `rows` and 3 `rows` rows counts once a row, the rest (what it prepares) once a matrix.
    """
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import oracle

    from scapre.encode import encode_request
    from scapre.methods.scapre.informax import noise_bank

    from .synthetic import States

    states, _ = encode_request(States(weights.shapes[0][1]), request)
    items = oracle.items_of(states, request.pairs())
    weight = next(iter(weights.held.values())).cpu()
    noise = noise_bank(0, weight.shape[1], request.settings)

    def seconds(count: int) -> float:
        began = time.perf_counter()
        oracle.edited(weight[:count], items, states.of(""), noise, request.settings)
        return time.perf_counter() - began

    seconds(1)  # first use of the libraries
    few, more = min(seconds(rows) for _ in range(2)), min(seconds(3 * rows) for _ in range(2))
    slope = (more - few) / (2 * rows)
    return sum(max(few - rows * slope, 0) + n * slope for n, _ in weights.shapes)


def encoding(model: str, texts: int = 8) -> float:
    """Seconds a text of CLIP-L (and CLIP-G for SDXL), in one batch, random weights, on the CPU."""
    import torch

    from .synthetic import towers

    spent = 0.0
    for encoder in towers(model):
        ids = torch.randint(1000, 2000, (texts, 77))
        with torch.no_grad():
            encoder(ids[:1])
            began = time.perf_counter()
            encoder(ids)
        spent += (time.perf_counter() - began) / texts
    return spent


def table(rows: Sequence[dict[str, Any]], text_seconds: dict[str, float]) -> str:
    """The rows in Markdown."""
    head = ["model", "concepts", "encode*", *STAGES, "total", "apply", "peak MB", "edit MB", "oracle s", "ratio"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        encode = f"{text_seconds[row['model']] * (row['concepts'] + 1):.1f}" if row["model"] in text_seconds else "-"
        figures = [f"{row[key]:.2f}" for key in (*STAGES, "total", "apply")]
        oracle = f"{row['oracle_seconds']:,.0f}" if "ratio" in row else "-"
        ratio = f"{row['ratio']:,.0f}" if "ratio" in row else "-"
        sizes = [f"{row['peak_mb']:.0f}", f"{row['edit_mb']:.0f}"]
        lines.append(
            "| " + " | ".join([row["model"], str(row["concepts"]), encode, *figures, *sizes, oracle, ratio]) + " |"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solve", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--preset", default="objects-many")
    parser.add_argument("--devices", nargs="+", help="cpu, cuda (what there is)")
    parser.add_argument("--oracle-rows", type=int, default=12, help="rows the oracle is timed on; 0 leaves it out")
    parser.add_argument("--no-encoding", action="store_true", help="leave text encoding out")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/solve.json"))
    return parser.parse_args()


def main() -> None:
    """Run the command line."""
    options = parse()
    import torch

    from .synthetic import machine

    devices = options.devices or ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    text_seconds = {} if options.no_encoding else {model: encoding(model) for model in options.models}
    results: list[dict[str, Any]] = []
    for device in map(torch.device, devices):
        rows = []
        for model, count in itertools.product(options.models, options.counts):
            oracle_rows = options.oracle_rows if device.type == "cpu" and count <= 100 else 0
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                rows.append(fresh.submit(measure, model, count, options.preset, str(device), oracle_rows).result())
            print(f"{model}, {count} concepts, {device}: {rows[-1]['total']:.2f} s", file=sys.stderr, flush=True)
        print(
            f"\n{machine(device)}, torch {torch.__version__}, preset {options.preset}\n\n{table(rows, text_seconds)}\n"
        )
        results += [{**row, "machine": machine(device)} for row in rows]
    print("* seconds on this CPU in one batch, extrapolated from 8 texts. Oracle: extrapolated from a few rows.")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"encode_seconds_per_text": text_seconds, "rows": results}, indent=1))


if __name__ == "__main__":
    main()
