"""What a LoRA of an edit misses at each rank, and what the command line takes: `python -m benchmarks.export`.

The first table has synthetic token states and weights (see `benchmarks.solve`), so ranks of real text differ. The
second runs `python -m scapre` on a generated checkpoint of SDXL's size: text encoders and text projections have their
real names and shapes with random weights, and filler makes up the rest. It needs 28 GB of disk for a while.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .solve import SHAPES

# What needs torch is imported where it is used: --help must not need it.
if TYPE_CHECKING:
    import torch

    from scapre.export.factors import Rank

COUNTS, RANKS, TOLERANCES = (1, 10, 50), (4, 8, 16, 32, 64, 128), (0.05, 0.02)
ROOT = Path(__file__).parents[1]
GIGABYTES = 6.94
# Input, middle and output blocks of SDXL with attention: transformers in each, and its channels.
BLOCKS = {
    **{f"input_blocks.{n}.1": (2, 640) for n in (4, 5)},
    **{f"input_blocks.{n}.1": (10, 1280) for n in (7, 8)},
    "middle_block.1": (10, 1280),
    **{f"output_blocks.{n}.1": (10, 1280) for n in (0, 1, 2)},
    **{f"output_blocks.{n}.1": (2, 640) for n in (3, 4, 5)},
}


def residuals(count: int, preset: str, model: str = "SD1.5") -> dict[str, Any]:
    """One row: what fp16 factors of each rank miss over all matrices, and what tolerances take.

    A file has one rank, the greatest that one of its matrices needs. Matrices of one shape differ by a factor alone
    here, so one of each shape is factorised and counted.
    """
    import torch

    from scapre.encode import encode_request
    from scapre.export.factors import Rank, factorise
    from scapre.solve import solve_edit

    from .synthetic import States, Weights, ask

    shapes, request, cpu = SHAPES[model], ask(count, preset), torch.device("cpu")
    weights = Weights(shapes, cpu)
    edit = solve_edit(encode_request(States(shapes[0][1]), request)[0], weights, request)
    picked = {weights.shapes[index]: name for index, name in enumerate(weights.roles)}
    changes = {}
    for shape, name in picked.items():
        changes[shape] = edit.change(name, weights.read(name, cpu))
    row: dict[str, Any] = {"model": model, "concepts": count, "preset": preset}

    def stored(rank: Rank) -> tuple[float, int, float]:
        """Residual, rank and megabytes of a file."""
        missing, whole, most = 0.0, 0.0, 0
        for shape, change in changes.items():
            up, down = (factor.half() for factor in factorise(change, rank))
            dense, times = change.dense().double(), shapes.count(shape)
            missing += times * ((up.double() @ down.double() - dense).norm() ** 2).item()
            whole += times * (dense.norm() ** 2).item()
            most = max(most, len(down))
        return math.sqrt(missing / whole), most, sum(2 * most * sum(shape) for shape in shapes) / 1e6

    row |= {f"rank {rank}": stored(Rank(rank))[0] for rank in RANKS}
    for tolerance in TOLERANCES:
        _, rank, size = stored(Rank(0, tolerance))
        row |= {f"rank at {tolerance:g}": rank, f"MB at {tolerance:g}": size}
    return row


def sdxl_entries() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor of the generated checkpoint, filler last."""
    from scapre.checkpoints.towers import TOWERS

    prefix, made = "model.diffusion_model.", 0

    def spread(tensors: Sequence[tuple[str, tuple[int, ...]]]) -> Iterator[tuple[str, tuple[int, ...]]]:
        nonlocal made
        for name, shape in tensors:
            made += 2 * math.prod(shape)
            yield name, shape

    yield from spread(
        [(f"{prefix}input_blocks.0.0.weight", (320, 4, 3, 3)), (f"{prefix}label_emb.0.0.weight", (1280, 2816))]
    )
    for block, (depth, channels) in BLOCKS.items():
        names = [
            f"{prefix}{block}.transformer_blocks.{t}.attn2.to_{part}.weight" for t in range(depth) for part in "kv"
        ]
        yield from spread([(name, (channels, 2048)) for name in names])
    for tower, width in zip(TOWERS["SDXL"], (768, 1280), strict=True):
        yield from spread(list(encoder_entries(tower.prefixes[0], width, tower.layers + 1, tower.open_clip)))
    number = 0
    while made < GIGABYTES * 1e9:
        yield from spread([(f"{prefix}filler.{number}", (5120, 1280))])
        number += 1


def encoder_entries(prefix: str, width: int, layers: int, open_clip: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A CLIP text encoder in the names of open_clip or transformers."""
    norm, layer, first, second = (
        ("ln_final", "transformer.resblocks.{}.", "mlp.c_fc", "mlp.c_proj")
        if open_clip
        else ("final_layer_norm", "encoder.layers.{}.", "mlp.fc1", "mlp.fc2")
    )
    norms = ("ln_1", "ln_2") if open_clip else ("layer_norm1", "layer_norm2")
    tokens = ("token_embedding.weight", "positional_embedding")
    if not open_clip:
        tokens = ("embeddings.token_embedding.weight", "embeddings.position_embedding.weight")
    yield prefix + tokens[0], (49408, width)
    yield prefix + tokens[1], (77, width)
    yield from ((f"{prefix}{norm}.{part}", (width,)) for part in ("weight", "bias"))
    for start in (prefix + layer.format(index) for index in range(layers)):
        yield from ((f"{start}{name}.{part}", (width,)) for name in norms for part in ("weight", "bias"))
        linear = {first: (4 * width, width), second: (width, 4 * width)}
        if open_clip:
            yield from (
                (f"{start}attn.in_proj_weight", (3 * width, width)),
                (f"{start}attn.in_proj_bias", (3 * width,)),
            )
            linear["attn.out_proj"] = (width, width)
        else:
            linear |= {f"self_attn.{kind}_proj": (width, width) for kind in ("q", "k", "v", "out")}
        for name, shape in linear.items():
            yield from ((f"{start}{name}.weight", shape), (f"{start}{name}.bias", shape[:1]))


def write_sdxl(path: Path) -> None:
    """Writes the checkpoint with random weights."""
    import torch

    from scapre.files.write import write_tensors

    generator = torch.Generator().manual_seed(0)
    shapes = dict(sdxl_entries())

    def value(name: str) -> torch.Tensor:
        shape = shapes[name]
        if len(shape) == 1:  # a norm's scale is one, every bias zero
            return torch.full(shape, float(name.endswith("weight")), dtype=torch.float16)
        return (torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))).half()

    write_tensors(path, {name: (torch.float16, shape) for name, shape in shapes.items()}, value, {"format": "pt"})


def run(arguments: Sequence[str]) -> dict[str, Any]:
    """Seconds and peak memory of one command, sampled every 20 ms.

    `anonymous` is what the process itself holds; the rest of `resident` are pages of files, such as torch's libraries,
    which the system can take back.
    """
    import psutil

    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "scapre", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    watched, resident, anonymous = psutil.Process(process.pid), 0, 0
    while process.poll() is None:
        try:
            info = watched.memory_info()
        except psutil.Error:
            break
        resident, anonymous = max(resident, info.rss), max(anonymous, info.rss - info.shared)
        time.sleep(0.02)
    if process.wait():
        raise SystemExit(f"{arguments[0]} ended with exit status {process.returncode}")
    seconds = time.perf_counter() - began
    return {"command": arguments[0], "seconds": seconds, "resident_mb": resident / 1e6, "anonymous_mb": anonymous / 1e6}


def command_line(folder: Path, concepts: int) -> list[dict[str, Any]]:
    """Every command on the generated checkpoint."""
    source, edit = folder / "sdxl.safetensors", folder / "edit.safetensors"
    write_sdxl(source)
    size = source.stat().st_size
    (folder / "list.txt").write_text("\n".join(f"name number {index}" for index in range(concepts)))
    rows = [run(["erase", str(source), "--concepts", str(folder / "list.txt"), "--out", str(edit)])]
    for form in ("lora", "diff", "checkpoint"):
        out = folder / f"{form}.safetensors"
        asked = ["export", str(edit), "--checkpoint", str(source), "--format", form, "--out", str(out)]
        rows.append({**run(asked), "command": f"export {form}", "out_mb": out.stat().st_size / 1e6})
        out.unlink()
    rows.append(run(["merge", str(edit), "--checkpoint", str(source), "--out", str(folder / "merged.safetensors")]))
    rows.append(run(["verify", str(source), str(edit)]))
    rows[0]["out_mb"] = edit.stat().st_size / 1e6
    return [{**row, "checkpoint_gb": size / 1e9, "concepts": concepts} for row in rows]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(shown(row.get(key, "-")) for key in head) + " |" for row in rows]
    return "\n".join(lines)


def shown(value: Any) -> str:
    """A figure with three digits."""
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--no-command-line", action="store_true", help="leave the large checkpoint out")
    parser.add_argument("--no-ranks", action="store_true", help="leave the ranks out")
    parser.add_argument("--concepts", type=int, default=10, help="of the command line's list")
    parser.add_argument("--folder", type=Path, help="for the large files; they are deleted afterwards")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/export.json"))
    options = parser.parse_args()
    import torch

    from .synthetic import machine

    results: dict[str, Any] = json.loads(options.json.read_text()) if options.json.is_file() else {}
    results["machine"] = machine(torch.device("cpu"))
    if not options.no_ranks:
        presets = ("objects-few", "objects-many")
        results["ranks"] = [residuals(count, preset) for preset in presets for count in COUNTS]
        print(table(results["ranks"]), "\n")
    if not options.no_command_line:
        folder = Path(tempfile.mkdtemp(prefix="scapre-", dir=options.folder))
        try:
            results["command_line"] = command_line(folder, options.concepts)
        finally:
            shutil.rmtree(folder)
        print(table(results["command_line"]))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
