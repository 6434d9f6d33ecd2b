"""Pooled vectors of many texts at once, which the host's own call gives of one text alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from .prefixes import CLIP_ORDER, Sections, close, parts_of, prefix_vectors

Encode = Callable[[Any, Sequence[Sequence[int]], torch.device], Tensor]


def _whole(encoder: Any, tokens: Sequence[Sequence[int]], _: torch.device) -> Tensor:
    """Pooled vectors, (texts, width), of whole windows, as the host's own call computes them."""
    found: Tensor = encoder.encode([list(ids) for ids in tokens])[1]
    return found


class VectorEncoder:
    """Computes pooled vectors with the host's own encoders, in one batch."""

    def __init__(self, clip: Any, parts: Sequence[str], encode: Encode) -> None:
        """Takes a CLIP whose options the host's own call has just set, its parts that are asked, and how."""
        self._clip, self._parts, self._encode = clip, parts, encode

    @classmethod
    def like(cls, clip: Any, tokens: Sections, vector: Tensor) -> VectorEncoder | None:
        """What gives what the host gives; None where that is none of the parts', nor several side by side.

        Args:
            clip: See above.
            tokens: Of one text, a whole window, by part.
            vector: (1, width) the host's own of it.
        """
        there = parts_of(clip.cond_stage_model, [name for name in tokens if name in CLIP_ORDER])
        some = [parts for count in (1, 2) for parts in combinations(there, count)]
        own = (cls(clip, parts, encode) for encode in (prefix_vectors, _whole) for parts in some)
        return next((found for found in own if found._gives(tokens, vector)), None)

    def _gives(self, tokens: Sections, vector: Tensor) -> bool:
        try:
            return close(self(tokens), vector)
        except (AttributeError, TypeError, RuntimeError):  # classes that a host may have instead
            return False

    def __call__(self, tokens: Mapping[str, Sequence[Sequence[int]]]) -> Tensor:
        """Pooled vectors, (texts, width), float32 on the CPU."""
        model, device = self._clip.cond_stage_model, self._clip.patcher.load_device
        with comfy.model_management.cuda_device_context(device), torch.no_grad():
            found = [self._encode(getattr(model, f"clip_{name}"), tokens[name], device) for name in self._parts]
        return torch.cat(found, -1).to("cpu", torch.float32)
