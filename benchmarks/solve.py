"""How long an edit takes, stage by stage: `python -m benchmarks.solve` prints one table and writes JSON.

Weights and token states are synthetic, with the shapes of the real models and the geometry of CLIP's states (a part
shared by position, a part by text), because the time depends on them alone. Text encoding runs the real architecture
with random weights. The reference is the tests' row-by-row oracle in float64, timed on a few rows and extrapolated.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: no spinning threads beside the memory sampler

import torch

from scapre.concepts import parse_concepts
from scapre.edit import Edit
from scapre.informax import noise_bank
from scapre.settings import PRESETS
from scapre.solve import Request, encode_request, solve_edit

SHAPES: dict[str, list[tuple[int, int]]] = {
    "SD1.5": [(width, 768) for width, count in ((320, 10), (640, 10), (1280, 12)) for _ in range(count)],
    "SDXL": [(width, 2048) for width, count in ((640, 20), (1280, 120)) for _ in range(count)],
}
STAGES = ("statistics", "read", "gate and retention", "solve", "report")
COUNTS = (1, 10, 50, 100, 1000)


class States:
    """Token states like a text encoder's: one start state, a part by position, a part by text."""

    def __init__(self, width: int, window: int = 77) -> None:
        self.width, self.window = width, window
        generator = torch.Generator().manual_seed(0)
        self.places = torch.randn(window, width, generator=generator)

    def last_token(self, text: str) -> int:
        """One token a word."""
        return len(text.split())

    def encode(self, texts: Sequence[str], progress: Callable[..., None]) -> torch.Tensor:
        """Norm 28, as CLIP-L's last layer has."""
        out = torch.empty(len(texts), self.window, self.width)
        for index in range(len(texts)):
            generator = torch.Generator().manual_seed(index + 1)
            own = torch.randn(self.width, generator=generator)
            out[index] = 0.7 * self.places + 0.6 * own
            out[index] += 0.3 * torch.randn(self.window, self.width, generator=generator)
            out[index, 0] = self.places[0]
        return out.mul_(28 / out.norm(dim=-1, keepdim=True))


class Weights:
    """Random projections; one matrix of each shape is held and scaled, so that memory shows the solve alone."""

    family = "benchmark"

    def __init__(self, shapes: list[tuple[int, int]], device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.shapes = shapes
        self.held = {n: torch.randn(n, d, generator=generator).div_(d**0.5).to(device) for n, d in sorted(set(shapes))}
        self.names = [f"matrix {index}" for index in range(len(shapes))]

    def read(self, name: str, device: torch.device) -> torch.Tensor:
        """A weight of its own."""
        index = int(name.split()[1])
        return self.held[self.shapes[index][0]] * (1 + 1e-3 * index)


class PeakMemory:
    """Most memory taken inside a block beyond what was taken at its start, in MB."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.megabytes = device, 0.0

    def __enter__(self) -> PeakMemory:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            self.start = torch.cuda.memory_allocated(self.device)
            return self
        import psutil

        self.process, self.done = psutil.Process(), threading.Event()
        self.start = self.most = self.process.memory_info().rss
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()
        return self

    def _sample(self) -> None:
        while not self.done.wait(0.005):
            self.most = max(self.most, self.process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.most = torch.cuda.max_memory_allocated(self.device)
        else:
            self.done.set()
            self.thread.join()
        self.megabytes = (self.most - self.start) / 1e6


def ask(count: int, preset: str) -> Request:
    """A list of distinct names of one to four words."""
    names = (f"name{index} {'word ' * (index % 4)}" for index in range(count))
    return Request(parse_concepts("\n".join(names)), settings=PRESETS[preset].settings)


def measure(model: str, count: int, preset: str, where: str, oracle_rows: int) -> dict[str, Any]:
    """One row of the table. Runs in a process of its own, so that no row finds memory that another has left."""
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
    moved = edit.to(device)
    began = time.perf_counter()
    for name in weights.names:
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
    from transformers import CLIPTextConfig, CLIPTextModel

    large = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    giant = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
    spent = 0.0
    for size in (large, giant)[: 2 if model == "SDXL" else 1]:
        encoder = CLIPTextModel(CLIPTextConfig(**size)).eval()
        ids = torch.randint(1000, 2000, (texts, 77))
        with torch.no_grad():
            encoder(ids[:1])
            began = time.perf_counter()
            encoder(ids)
        spent += (time.perf_counter() - began) / texts
    return spent


def machine(device: torch.device) -> str:
    """What the figures were measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        name = next(
            (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), name
        )
    return f"{name}, {torch.get_num_threads()} threads"


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


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solve", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--preset", choices=PRESETS, default="objects-many")
    parser.add_argument("--devices", nargs="+", default=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
    parser.add_argument("--oracle-rows", type=int, default=12, help="rows the oracle is timed on; 0 leaves it out")
    parser.add_argument("--no-encoding", action="store_true", help="leave text encoding out")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/solve.json"))
    options = parser.parse_args()
    text_seconds = {} if options.no_encoding else {model: encoding(model) for model in options.models}
    results: list[dict[str, Any]] = []
    for device in map(torch.device, options.devices):
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
