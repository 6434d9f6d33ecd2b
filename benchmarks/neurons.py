"""What Erase Neurons costs: `python -m benchmarks.neurons [--memory]`, on a UNet of SD1.5's size with random weights.

Pictures are few and small by default, since a CPU takes seconds for each; time is told for one picture and step, and
extrapolated to the released settings. With --memory, one concept is drawn at 64 x 64 latents, and the process's peak
beyond the loaded model is told.
"""

from __future__ import annotations

import argparse
import resource
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RELEASED = {"pairs": 30, "recorded": 10}
NAMES = ["cat", "dog", "fox", "owl", "bee", "ant", "elk", "eel", "cod", "yak"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neurons", description=__doc__.split(":")[0])
    parser.add_argument("--memory", action="store_true", help="measure the peak at 64 x 64 latents")
    parser.add_argument("--saliency", choices=("exact", "released"), default="exact")
    parser.add_argument("--size", type=int, default=128, help="side of a picture in pixels (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="with --memory: the node's rounds (%(default)s)")
    options = parser.parse_args(arguments)
    from .minicanvas import inprocess

    inprocess.start_comfyui()
    model, clip = load()
    if options.memory:
        print(peak(model, clip, options.saliency, options.rounds))
        return 0
    run(
        model, clip, NAMES[:1], argparse.Namespace(size=64, saliency=options.saliency)
    )  # what is done once in a process
    for names in (NAMES[:1], NAMES):
        seconds, steps = run(model, clip, names, options)
        whole = (1 + len(names)) * RELEASED["pairs"] * RELEASED["recorded"]
        print(f"{len(names)} names: {seconds:.1f} s for {steps} pictures and steps; released: {whole} of them")
    return 0


def load() -> tuple[Any, Any]:
    """Return a MODEL and a CLIP of the sizes of SD1.5, with random weights in half precision and single precision."""
    import comfy.model_patcher
    import comfy.sd
    import comfy.supported_models as supported
    import torch
    from comfy import sd1_clip
    from comfy.supported_models_base import ClipTarget

    config = supported.SD15({
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "channel_mult": [1, 2, 4, 4],
        "num_res_blocks": [2, 2, 2, 2], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1,
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "use_spatial_transformer": True,
        "legacy": False, "use_checkpoint": False, "use_linear_in_transformer": False, "use_temporal_attention": False,
        "use_temporal_resblock": False, "adm_in_channels": None, "context_dim": 768, "num_heads": 8,
    })  # fmt: skip
    cpu = torch.device("cpu")
    config.set_inference_dtype(torch.float32, None)
    network = config.get_model({}, "", device=cpu)
    clip = comfy.sd.CLIP(ClipTarget(sd1_clip.SD1Tokenizer, sd1_clip.SD1ClipModel))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in (network, clip.cond_stage_model):
            for parameter in module.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
                else:
                    parameter.fill_(1.0 if parameter.ndim else 0.0)
    return comfy.model_patcher.ModelPatcher(network, cpu, cpu), clip


def run(model: Any, clip: Any, names: Sequence[str], options: argparse.Namespace) -> tuple[float, int]:
    """Return the seconds that a run takes, and its pictures times steps."""
    import torch

    from .minicanvas.inprocess import pack

    few = {"pairs": 2, "recorded": 2, "size": options.size, "saliency": options.saliency}
    node = pack("nodes.erase_neurons").EraseNeurons
    began = time.perf_counter()
    with torch.inference_mode():
        node.execute(model, clip, "\n".join(names), **few)
    return time.perf_counter() - began, (1 + len(names)) * few["pairs"] * few["recorded"]


class Peak:
    """The greatest memory of this process while it is open, in GB, sampled every few milliseconds."""

    def __enter__(self) -> Peak:
        self.before = self.now = self.most = self._resident()
        self._open = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._open = False
        self._thread.join()

    def _watch(self) -> None:
        while self._open:
            self.most = max(self.most, self._resident())
            time.sleep(0.005)

    @staticmethod
    def _resident() -> float:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e9

    @property
    def beyond(self) -> float:
        """GB beyond what was there before."""
        return self.most - self.before


def peak(model: Any, clip: Any, saliency: str, rounds: int) -> str:
    """Return what a run with one concept takes at 64 x 64 latents, and what a picture alone takes."""
    import torch

    from .minicanvas.inprocess import pack

    trajectories, sampling = pack("nodes.host.trajectories"), pack("nodes.host.sampling")
    drawn = sampling.Sampling(0, 50, 7.5, "euler", "normal", 512, 512)
    with torch.inference_mode():
        draw = trajectories.HostTrajectories(model, clip, drawn, (), 1, None)
        draw.begin(["a cat"], ())
        draw.advance([0], 0, lambda *_: None)  # loads the model
        with Peak() as picture:
            draw.advance([0], 1, lambda *_: None)
        node = pack("nodes.erase_neurons")
        inputs = {"pairs": 2, "recorded": 2, "size": 512, "saliency": saliency, "rounds": rounds}
        pack("nodes.host.watching").fitting_batch = lambda *_: 1
        with Peak() as whole:
            node.EraseNeurons.execute(model, clip, "cat", **inputs)
    return f"{saliency}: {whole.beyond:.2f} GB beyond the model; one step of one picture takes {picture.beyond:.2f} GB"


if __name__ == "__main__":
    sys.exit(main())
