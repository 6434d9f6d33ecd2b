"""What an edit is solved from in a measurement: synthetic weights and token states, and how memory is watched."""

from __future__ import annotations

import gc
import os
import platform
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: no spinning threads beside the memory sampler

import torch

from scapre.concepts.concepts import parse_concepts
from scapre.families import Role
from scapre.methods import FIRST, METHODS
from scapre.request import Request


class States:
    """Token states like a text encoder's: one start state, a part by position, a part by text."""

    def __init__(self, width: int, window: int = 77) -> None:
        self.width, self.window = width, window
        generator = torch.Generator().manual_seed(0)
        self.places = torch.randn(window, width, generator=generator)

    def tokens(self, text: str) -> Sequence[int]:
        """One token a word."""
        return [zlib.crc32(word.encode()) % 49_000 for word in text.split()]

    def remembered(self, key: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Made anew."""
        return make()

    def encode_prefixes(self, texts: Sequence[str], length: int) -> torch.Tensor:
        """The first states of each."""
        return self.encode(texts, lambda *_: None)[:, :length]

    def lexicon(self) -> None:
        """None."""

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
        self.roles = {f"matrix {index}": (Role.KEY, Role.VALUE)[index % 2] for index in range(len(shapes))}

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
    return Request(parse_concepts("\n".join(names)), settings=METHODS[FIRST].choose(preset))


def towers(model: str) -> Iterator[torch.nn.Module]:
    """Text encoders of a model's architecture with random weights: CLIP-L, and CLIP-G as well for SDXL."""
    from transformers import CLIPTextConfig, CLIPTextModel

    large = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    giant = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
    for size in (large, giant)[: 2 if model == "SDXL" else 1]:
        yield CLIPTextModel(CLIPTextConfig(**size)).eval()


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
