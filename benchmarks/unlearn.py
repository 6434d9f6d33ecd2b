"""Iterations a second of Unlearn Concepts and of the host's own Train LoRA, on the same layers, rank and rows.

    python -m benchmarks.unlearn [--full]

Both train MiniCanvas in one process, a few iterations in turn, in float32 and without gradient checkpointing. An
iteration of KSCU asks the trained model for two answers with gradients, so the host's batch is two; KSCU's own batch is
one, and it also asks the model before. Seconds of loading fall out: those of a short run are taken from a long one's.
With --full, a few iterations are trained at 64 x 64 latents on random weights of SD1.5's size, and the peak of the
process beyond the loaded model is told.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .minicanvas.inprocess import Loaded

SHORT, LONG = 4, 24


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unlearn", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of every way, in turn (%(default)s)")
    parser.add_argument("--rank", type=int, default=16, help="of the factors (%(default)s)")
    parser.add_argument("--full", action="store_true", help="at the size of SD1.5, and its peak of memory")
    options = parser.parse_args(arguments)
    if options.full:
        return full(options.rank)
    from .minicanvas import checkpoint, inprocess  # need torch, which --help must not

    inprocess.start_comfyui()
    loaded = inprocess.load(checkpoint.shipped())
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, way in WAYS.items():
            found[name].append(way(loaded, options.rank))
    usual = statistics.median(found[HOST])
    for name, seconds in found.items():
        middle = statistics.median(seconds)
        print(f"{name}: {1 / middle:.2f} iterations a second ({usual / middle:.2f} of the host's)")
    return 0


def full(rank: int) -> int:
    """Print seconds and memory of iterations at full size, without and with gradient checkpointing."""
    import torch

    from . import neurons
    from .minicanvas import inprocess

    inprocess.start_comfyui()
    model, clip = neurons.load()
    model.cached_patcher_init = (lambda **_: neurons.load()[0], ())
    node = inprocess.pack("nodes.unlearn").Unlearn
    for saving in ("off", "on"):
        taken = []
        with neurons.Peak() as peak:
            for count in (1, 2):
                began = time.perf_counter()
                with torch.inference_mode():
                    node.execute(
                        model, clip, "cat", rank=rank, iterations=count, steps=4, first=1, size=512, preview_every=0,
                        hold=0.0, checkpointing=saving,
                    )  # fmt: skip
                taken.append(time.perf_counter() - began)
        print(f"checkpointing {saving}: {taken[1] - taken[0]:.0f} s an iteration, {peak.beyond:.2f} GB", flush=True)
    return 0


def _each(run: Callable[[int], None]) -> float:
    """Seconds of one iteration."""
    taken = []
    for count in (SHORT, LONG):
        began = time.perf_counter()
        run(count)
        taken.append(time.perf_counter() - began)
    return (taken[1] - taken[0]) / (LONG - SHORT)


def _host(loaded: Loaded, rank: int) -> float:
    import torch
    from comfy_extras.nodes_train import TrainLoraNode

    with torch.inference_mode():
        positive = loaded.clip.encode_from_tokens_scheduled(loaded.clip.tokenize("Anna Moreau"))
        latents = {"samples": torch.zeros(2, 4, 8, 8)}

        def run(count: int) -> None:
            single: dict[str, Any] = {
                "batch_size": 2, "steps": count, "grad_accumulation_steps": 1, "learning_rate": 3e-4, "rank": rank,
                "optimizer": "Adam", "loss_function": "MSE", "seed": 0, "training_dtype": "fp32",
                "lora_dtype": "fp32", "quantized_backward": False, "algorithm": "LoRA",
                "gradient_checkpointing": False, "checkpoint_depth": 1, "offloading": False,
                "existing_lora": "[None]", "bucket_mode": False, "bypass_mode": False,
            }  # fmt: skip
            TrainLoraNode.execute(
                model=[loaded.model], latents=[latents], positive=[positive],
                **{key: [value] for key, value in single.items()},
            )  # fmt: skip

        return _each(run)


def _ours(loaded: Loaded, rank: int, **more: Any) -> float:
    import torch

    from .minicanvas import inprocess

    node = inprocess.pack("nodes.unlearn").Unlearn

    def run(count: int) -> None:
        with torch.inference_mode():
            node.execute(
                loaded.model, loaded.clip, "Anna Moreau", rank=rank, layers="all", iterations=count, size=64,
                preview_every=0, augmented=0.0, hold=0.0, **more,
            )  # fmt: skip

    return _each(run)


HOST = "Train LoRA, batch 2"
WAYS: dict[str, Callable[[Loaded, int], float]] = {
    HOST: _host,
    "KSCU, iterations alone": lambda loaded, rank: _ours(loaded, rank, first=0, steps=50),
    "KSCU, with its pictures": lambda loaded, rank: _ours(loaded, rank, first=10, steps=20),
    "ESD, with its pictures": lambda loaded, rank: _ours(loaded, rank, loss="esd", first=0, steps=20),
}
"""Iterations alone: all are of one picture, which begins at the first step, so that none is drawn up to a key step."""


if __name__ == "__main__":
    sys.exit(main())
