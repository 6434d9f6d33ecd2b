"""What Erase While Sampling costs a step: `python -m benchmarks.while_sampling`, on a UNet of SD1.5's size.

Weights are random. Steps of the model as it is and of the changed one take turns; the ratio of their medians is told.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

from .neurons import NAMES, load

_STEPS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.while_sampling", description=__doc__.split(":")[0])
    parser.add_argument("--rounds", type=int, default=7, help="runs of each kind (%(default)s)")
    parser.add_argument("--size", type=int, default=512, help="side of a picture in pixels (%(default)s)")
    options = parser.parse_args(arguments)
    from .minicanvas import inprocess

    inprocess.start_comfyui()
    import torch

    model, clip = load()
    with torch.inference_mode():
        kinds = {"as it is": model, **changed(model, clip)}
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(options.rounds + 1):
            for kind, one in kinds.items():
                took = step(one, clip, options.size)
                if number:  # the first of each loads and warms up
                    seconds[kind].append(took)
    plain = statistics.median(seconds["as it is"])
    for kind, some in seconds.items():
        print(f"{kind}: {statistics.median(some):.2f} s a step, {statistics.median(some) / plain - 1:+.1%}")
    return 0


def changed(model: Any, clip: Any) -> dict[str, Any]:
    """Return the model with names taken out of values, and with an edit that stands beside its layers."""
    from .minicanvas.inprocess import pack

    node, names = pack("nodes.erase_while_sampling").EraseWhileSampling, "\n".join(NAMES)
    inputs = {"method": "uce", "preset": "objects"}
    edit = pack("nodes.erase_concepts").EraseConcepts.execute(model, clip, names, **inputs).args[1]
    return {
        f"{len(NAMES)} names": node.execute(model, clip, names).args[0],
        f"{len(NAMES)} names, gated": node.execute(model, clip, names, gate="on").args[0],
        f"an edit of {len(NAMES)} names": node.execute(model, edit=edit).args[0],
    }


def step(model: Any, clip: Any, size: int) -> float:
    """Return the seconds of a call of the model with both prompts, the mean of a short run."""
    import comfy.sample
    import torch

    states = torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(0))
    latent = torch.zeros(1, 4, size // 8, size // 8)
    began = time.perf_counter()
    comfy.sample.sample(
        model, torch.randn_like(latent), _STEPS, 7.0, "euler", "normal", [[states, {}]], [[0.5 * states, {}]], latent,
        disable_pbar=True, seed=1,
    )  # fmt: skip
    return (time.perf_counter() - began) / _STEPS


if __name__ == "__main__":
    raise SystemExit(main())
