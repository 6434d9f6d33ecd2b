"""Runs a language model layer by layer from its file, all texts through a layer before the next is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from .float8 import layers_of, read_weight
from .language_layer import Layer, Read, mean_normed
from .language_models import LanguageModel
from .t5 import Told, batches

_MAY_LACK = (".bias", "q_norm.weight", "k_norm.weight")

Ids = Sequence[int]


class States(NamedTuple):
    """What a language model says.

    Attributes:
        before: States of what stands before every text, (tokens, width).
        texts: States of each text's tokens, and of what fills it up, (tokens, width).
    """

    before: Tensor
    texts: list[Tensor]


class LanguageStates:
    """States of token ids, float32, as ComfyUI computes them."""

    def __init__(
        self, model: LanguageModel, layers: Sequence[int] = (0,), *, normed: bool = True, last_normed: bool = False
    ) -> None:
        """Takes the model; nothing is read yet.

        Args:
            model: In its file.
            layers: After how many layers states are taken, side by side; 0 and below are counted from the last.
            normed: Whether they go through the last norm.
            last_normed: Whether those behind the last layer do, if no others.
        """
        self.model, self._asked, self._normed, self._last_normed = model, layers, normed, last_normed

    @property
    def width(self) -> int:
        """Of a state."""
        return self.model.width * len(self._asked)

    @torch.no_grad()
    def __call__(
        self,
        texts: Sequence[Ids],
        told: Told = lambda done, total: None,
        *,
        before: Ids = (),
        filled: int = 0,
        padding: int = 0,
    ) -> States:
        """States of texts; what stands before them all is computed once.

        Args:
            texts: Ids of each text's tokens, none without any unless it is filled up.
            told: Called before every layer.
            before: Ids of what stands before every text.
            filled: How many tokens padding fills a text up to, which no token attends to.
            padding: Its id.

        Raises:
            ScaPreError: If a weight is missing, not finite, or quantised in another way than float8.
        """
        order, groups = batches(texts)
        rest = [[padding] * max(0, filled - len(texts[group[0]])) for group in groups]
        held = [self._embedded([[*texts[at], *more] for at in group]) for group, more in zip(groups, rest, strict=True)]
        states = [self._embedded([before]), *held]
        ends = [len(before), *(len(texts[group[0]]) for group in groups)]
        taken = self._through(states, ends, told)
        rows = [row for batch in taken[1:] for row in batch]
        return States(taken[0][0], [rows[place] for place in order])

    def _through(self, states: list[Tensor], ends: Sequence[int], told: Told) -> list[Tensor]:
        """What is asked for of each batch, of which the first stands before all others."""
        there = layers_of(self.model.file, f"{self.model.prefix}layers.")
        wanted = [layer if layer > 0 else there + layer for layer in self._asked]
        if not 0 < min(wanted) <= max(wanted) <= there:
            raise ScaPreError(
                f"{self.model.file.field}: {shorten(self.model.file.path.name)} has {there} layers, and what layer "
                f"{max(wanted)} says is read. Give the text encoder of this very model."
            )
        taken: dict[int, list[Tensor]] = {}
        for number in range(max(wanted)):
            told(number, max(wanted))
            layer = Layer(self._reader(f"layers.{number}."), self.model.build)
            first, earlier = layer(states[0], ends[0]) if ends[0] else (states[0], None)
            later = (layer(batch, end, earlier)[0] for batch, end in zip(states[1:], ends[1:], strict=True))
            states = [first, *later]
            if number + 1 in wanted:
                taken[number + 1] = self._finished(states, last=number + 1 == there)
        told(max(wanted), max(wanted))
        return [torch.cat(parts, -1) for parts in zip(*(taken[layer] for layer in wanted), strict=True)]

    def _finished(self, states: list[Tensor], *, last: bool) -> list[Tensor]:
        if not (self._normed or (last and self._last_normed)):
            return states
        weight = read_weight(self.model.file, f"{self.model.prefix}norm.weight")
        return [mean_normed(state, weight, self.model.build) for state in states]

    def _embedded(self, texts: Sequence[Ids]) -> Tensor:
        ids, width = torch.tensor(texts, dtype=torch.long), self.model.width
        rows = self.model.file.rows(self.model.embeddings, ids.flatten()).float().view(*ids.shape, width)
        return rows * width**0.5 if self.model.build.gemma else rows

    def _reader(self, layer: str) -> Read:
        """Reads a layer's weights, each once; None for a bias or a norm that is not there."""
        held: dict[str, Tensor | None] = {}

        def needed(stored: str) -> bool:
            return stored in self.model.file.entries or not stored.endswith(_MAY_LACK)

        def read(name: str) -> Tensor | None:
            stored = f"{self.model.prefix}{layer}{name}"
            if name not in held:
                there = stored in self.model.file.entries or not name.endswith(
                    (".bias", "q_norm.weight", "k_norm.weight")
                )
                held[name] = read_weight(self.model.file, stored) if there else None
            return held[name]

        return read
