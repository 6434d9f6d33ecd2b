"""States of texts only as far as they are read: exact in a causal encoder, and faster than whole windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from ..errors import ScaPreError, shorten
from .encoder import Encoder, ReadsAhead

_POSITIONS = 1536
"""Positions encoded together. More gain nothing on a CPU, and fewer cast the encoder's weights too often."""


def encode_prefixes(
    encoder: Encoder, lengths: Mapping[str, int], told: Callable[[int], None] = lambda _: None
) -> dict[str, Tensor]:
    """States of each text's first positions, (positions, width), float32.

    Args:
        encoder: Texts of one length are given to it together, each once.
        lengths: How many positions of each text.
        told: Called with the number of texts done, before every batch; may raise.

    Raises:
        ScaPreError: For states that are not finite.
    """
    found: dict[str, Tensor] = {}
    if isinstance(encoder, ReadsAhead):
        encoder.read_ahead(list(lengths), lambda _, done, total: told(len(lengths) * done // total))
    for length, texts in _batches(lengths):
        told(len(found))
        states = encoder.encode_prefixes(texts, length)
        for text, state in zip(texts, states, strict=True):
            check_finite(text, state)
        found.update(zip(texts, states, strict=True))
    return found


def check_finite(text: str, states: Tensor) -> None:
    """Accepts the states of a text.

    Raises:
        ScaPreError: If they are not finite.
    """
    if not bool(states.isfinite().all()):
        raise ScaPreError(
            f"clip: the text encoder returned NaN or infinity for {shorten(text)}. Its weights are damaged or were "
            "never loaded; load another text encoder."
        )


def _batches(lengths: Mapping[str, int]) -> Iterator[tuple[int, list[str]]]:
    groups: dict[int, list[str]] = {}
    for text, length in lengths.items():
        groups.setdefault(length, []).append(text)
    for length in sorted(groups):
        size = max(1, _POSITIONS // length)
        for start in range(0, len(groups[length]), size):
            yield length, groups[length][start : start + size]
