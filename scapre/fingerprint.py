"""A short name for a set of weights, to tell whether an edit meets the weights it was solved from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

_SAMPLES = 4096


def sample(weight: Tensor) -> bytes:
    """Up to 4,096 values of a weight, evenly spread, as float32 bytes: any merge or LoRA changes some of them."""
    flat = weight.detach().reshape(-1)
    step = max(1, flat.numel() // _SAMPLES)
    return flat[::step][:_SAMPLES].to("cpu", torch.float32).contiguous().numpy().tobytes()


def fingerprint(samples: Iterable[tuple[str, bytes]]) -> str:
    """Hash of (name, sample) in the given order, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, data in samples:
        digest.update(name.encode() + b"\0" + data)
    return digest.hexdigest()
