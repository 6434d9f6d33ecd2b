"""Pooled vectors of many texts at once, which the host's own call gives of one text alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from .prefixes import CLIP_ORDER, Sections, close, parts_of


class VectorEncoder:
    """Computes pooled vectors with the host's own encoders, in one batch."""

    def __init__(self, clip: Any, parts: Sequence[str]) -> None:
        """Takes a CLIP whose options the host's own call has just set, and those of its parts that are asked."""
        self._clip, self._parts = clip, parts

    @classmethod
    def like(cls, clip: Any, tokens: Sections, vector: Tensor) -> VectorEncoder | None:
        """What gives what the host gives; None where that is none of the parts', nor several side by side.

        Args:
            clip: See above.
            tokens: Of one text, a whole window, by part.
            vector: (1, width) the host's own of it.
        """
        there = parts_of(clip.cond_stage_model, [name for name in tokens if name in CLIP_ORDER])
        some = [cls(clip, parts) for count in (1, 2) for parts in combinations(there, count)]
        try:
            return next((own for own in some if close(own(tokens), vector)), None)
        except (AttributeError, TypeError, RuntimeError):  # classes that a host may have instead
            return None

    def __call__(self, tokens: Mapping[str, Sequence[Sequence[int]]]) -> Tensor:
        """Pooled vectors, (texts, width), float32 on the CPU."""
        model, device = self._clip.cond_stage_model, self._clip.patcher.load_device
        with comfy.model_management.cuda_device_context(device), torch.no_grad():
            found = [
                getattr(model, f"clip_{name}").encode([list(ids) for ids in tokens[name]])[1] for name in self._parts
            ]
        return torch.cat(found, -1).to("cpu", torch.float32)
