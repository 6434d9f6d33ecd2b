"""The drawings a model learns from, made once and kept in the cache."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .artists import Array
from .drawing import draw_all
from .world import TRAINED, Picture

DRAWINGS, PLAIN_DRAWINGS = 12, 36
"""Of each combination; those in nobody's style are few, and asked for often."""
SEED = 20_000
CHUNK = 512


def training_pictures() -> list[Picture]:
    """Return what every drawing of the training set shows, in order."""
    return [picture for picture in TRAINED for _ in range(DRAWINGS if picture.artist else PLAIN_DRAWINGS)]


def drawings(pictures: Sequence[Picture], seed: int, file: Path) -> Array:
    """Return (len(pictures), SIDE, SIDE, 3) bytes, from the file if it is there."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), context) as pool:
            parts = list(pool.map(draw_all, chunks, range(seed, seed + len(chunks))))
        unfinished = file.with_suffix(".part.npy")
        np.save(unfinished, np.concatenate(parts))
        unfinished.rename(file)
    return np.load(file)


def to_pixels(pictures: Array) -> Tensor:
    """Return (count, 3, side, side) from 0 to 1 for (count, side, side, 3) bytes."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255)
