"""How the states of names lie to each other: `python -m benchmarks.minicanvas geometry`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .inprocess import encode, pack
from .world import ARTIST_NAMES, COLOURS, OBJECTS, TWINS

LATE = 40
"""A padding position well behind the end of every name."""
STRANGERS = ("bicycle", "dog", "music", "seven", "justice", "window", "river", "bread")
WORDINGS = ("{}", "a picture of a {}", "a red {}")


def names_in(clip: Any, texts: Sequence[str]) -> dict[str, Tensor]:
    """Return the unit states (texts, width) of each text's last word, its end token, and late padding."""
    encoder = pack("nodes.host.text_encoder").ClipEncoder(clip)
    states = torch.nn.functional.normalize(encode(clip, texts), dim=-1)
    last = torch.tensor([len(encoder.tokens(text)) for text in texts])
    rows = torch.arange(len(texts))
    return {"last word": states[rows, last], "end": states[rows, last + 1], "padding": states[rows, LATE]}


def mean_cosine(states: Tensor) -> float:
    """Return the mean cosine of all pairs."""
    count = len(states)
    return ((states @ states.T).sum() - count).item() / (count * (count - 1))


def twin_cosine(states: Tensor) -> float:
    """Return the mean cosine of neighbours 0-1, 2-3 and so on."""
    return (states[::2] * states[1::2]).sum(-1).mean().item()


def table(clip: Any) -> str:
    """Return a Markdown table of mean cosines, by what is compared and where."""
    twins = [name for pair in TWINS for name in pair]
    wordings = [wording.format(name) for name in OBJECTS for wording in WORDINGS]
    mixed = [OBJECTS[0], next(iter(COLOURS)), ARTIST_NAMES[0], *STRANGERS]
    lists: list[tuple[str, Sequence[str], Callable[[Tensor], float]]] = [
        ("words of no common kind", mixed, mean_cosine),
        ("objects", OBJECTS, mean_cosine),
        ("colours", list(COLOURS), mean_cosine),
        ("artists", ARTIST_NAMES, mean_cosine),
        ("twins", twins, twin_cosine),
        ("one object in three wordings", wordings, lambda states: _within(states, len(WORDINGS))),
    ]
    found = [
        (name, {place: measure(s) for place, s in names_in(clip, texts).items()}) for name, texts, measure in lists
    ]
    lines = [f"| {name} | {' | '.join(f'{value:.2f}' for value in row.values())} |" for name, row in found]
    return "\n".join([f"| mean cosine of | {' | '.join(found[0][1])} |", "|---|--:|--:|--:|", *lines])


def _within(states: Tensor, size: int) -> float:
    groups = states.reshape(-1, size, states.shape[-1])
    return sum(mean_cosine(group) for group in groups) / len(groups)
