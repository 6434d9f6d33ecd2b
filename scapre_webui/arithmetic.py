"""The engine's arithmetic in the midst of a host's: exact, whatever the host has switched on for its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_KINDS = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def exact() -> Iterator[None]:
    """Without a host's half precision (autocast), and with results that are of use outside of its mode, too."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for kind in filter(_casts, _KINDS):
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def _casts(kind: str) -> bool:
    try:
        return torch.is_autocast_enabled(kind)
    except (RuntimeError, TypeError):  # a kind that this torch does not cast on, or a torch that knows of no kinds
        return kind in ("cpu", "cuda")
