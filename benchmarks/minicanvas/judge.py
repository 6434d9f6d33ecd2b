"""The judge: reads object, colour and style off a picture, and measures how far sets of pictures lie apart.

It has seen drawings alone, never a picture that a model made, and it must choose: a picture that shows nothing is read
as something all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from .artists import Array
from .dataset import to_pixels
from .training import Loss, Plan, Run
from .world import COLOURS, OBJECTS, STYLES, Picture

PLAN = Plan("judge", steps=2900, rate=1.5e-3, decay=0.995)
BATCH = 64
FEATURES = 64
DOMAINS: dict[str, tuple[str, ...]] = {"object": OBJECTS, "colour": tuple(COLOURS), "style": STYLES}
"""What can be read in each of the three heads."""


class Judge(nn.Module):
    """A small convolutional classifier with three heads."""

    def __init__(self) -> None:
        super().__init__()
        widths, strides = (3, 48, 96, 96, 192, 192), (2, 2, 1, 2, 1)
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip(widths, widths[1:], strides, strict=False):
            size = 4 if inputs == 3 else 3
            layers += [
                nn.Conv2d(inputs, outputs, size, stride, 1, bias=False),
                nn.GroupNorm(8, outputs),
                nn.SiLU(),
            ]
        self.trunk = nn.Sequential(*layers)
        self.features = nn.Linear(2 * widths[-1], FEATURES)
        self.heads = nn.ModuleDict({name: nn.Linear(FEATURES, len(words)) for name, words in DOMAINS.items()})

    def describe(self, pixels: Tensor) -> Tensor:
        """Return (count, FEATURES) for (count, 3, side, side) from 0 to 1."""
        seen = self.trunk(pixels * 2 - 1)
        return self.features(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return every head's scores."""
        features = functional.silu(self.describe(pixels))
        return {name: head(features) for name, head in self.heads.items()}


def labels(pictures: Sequence[Picture]) -> dict[str, Tensor]:
    """Return what every head should read."""
    shown = {
        "object": [picture.object for picture in pictures],
        "colour": [picture.colour for picture in pictures],
        "style": [picture.artist for picture in pictures],
    }
    return {name: torch.tensor([DOMAINS[name].index(word) for word in words]) for name, words in shown.items()}


def disturb(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Blur, shift and roughen a little, as a decoder may."""
    count = len(pixels)
    soft = functional.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    pixels = pixels.lerp(soft, torch.rand(count, 1, 1, 1, generator=random))
    shift = torch.randint(-3, 4, (2,), generator=random).tolist()
    pixels = pixels.roll(shift, (2, 3))
    light = 1 + 0.06 * torch.randn(count, 1, 1, 1, generator=random)
    noise = 0.05 * torch.rand(count, 1, 1, 1, generator=random) * torch.randn(pixels.shape, generator=random)
    return (pixels * light + noise).clamp(0, 1)


def start(file: Path) -> Run:
    """Begin to train a judge, or go on with one."""
    torch.manual_seed(PLAN.seed)
    return Run(PLAN, Judge().to(memory_format=torch.channels_last), file)


def loss_on(run: Run, drawings: Array, pictures: Sequence[Picture]) -> Loss:
    """Return the loss: cross-entropy, summed over the heads."""
    known = labels(pictures)

    def loss(random: torch.Generator, step: int) -> Tensor:
        chosen = torch.randint(len(drawings), (BATCH,), generator=random)
        pixels = disturb(to_pixels(drawings[chosen.numpy()]), random).contiguous(memory_format=torch.channels_last)
        scores = run.model(pixels)
        parts = [functional.cross_entropy(scores[name], known[name][chosen], label_smoothing=0.02) for name in DOMAINS]
        return torch.stack(parts).sum()

    return loss


@dataclass(frozen=True)
class Reading:
    """What a judge reads.

    Attributes:
        words: for each head, one word a picture.
        features: (pictures, FEATURES).
    """

    words: dict[str, list[str]]
    features: Tensor


def load(file: Path) -> Judge:
    """Return the judge whose weights are in a file."""
    judge = Judge()
    judge.load_state_dict({name: value.float() for name, value in load_file(file).items()})
    return judge.eval()


@torch.inference_mode()
def read(judge: Judge, pictures: Array, batch: int = 128) -> Reading:
    """Read (count, side, side, 3) bytes."""
    words: dict[str, list[str]] = {name: [] for name in DOMAINS}
    features = []
    for start in range(0, len(pictures), batch):
        described = judge.describe(to_pixels(pictures[start : start + batch]))
        features.append(described)
        for name, head in judge.heads.items():
            best = head(functional.silu(described)).argmax(1).tolist()
            words[name] += [DOMAINS[name][index] for index in best]
    return Reading(words, torch.cat(features))


def accuracy(reading: Reading, pictures: Sequence[Picture]) -> dict[str, float]:
    """Return the share of pictures that every head reads right."""
    known = labels(pictures)
    right = {
        name: [DOMAINS[name][index] == word for index, word in zip(known[name].tolist(), words, strict=True)]
        for name, words in reading.words.items()
    }
    return {name: sum(hits) / len(hits) for name, hits in right.items()}


def frechet(first: Tensor, second: Tensor) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to two sets of features (count, FEATURES).

    Like all such distances it grows as the sets get smaller, so compare figures of equal counts only.
    """
    first, second = first.double(), second.double()
    one, two = first.T.cov(), second.T.cov()
    values, vectors = torch.linalg.eigh(one)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    mixed = torch.linalg.eigvalsh(root @ two @ root).clamp(min=0).sqrt().sum()
    gap = (first.mean(0) - second.mean(0)).square().sum()
    return (gap + one.trace() + two.trace() - 2 * mixed).item()
