"""BERT, layer by layer from a checkpoint, and its states in the engine's order, as the nodes give them in ComfyUI."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..states.sentences import WINDOW, bracketed, check_length, ordered
from .float8 import layers_of, read_weight
from .rows import Rows
from .sentences import Ids, SentenceCutter, WholeEncoder
from .t5 import Told, batches
from .tensor_file import TensorFile

_START, _END = 101, 102
_HEAD = 64
_EPSILON = 1e-12


class BertCutter(SentenceCutter):
    """Ids of a name's tokens between the start and the end."""

    def _cut(self, text: str) -> Ids:
        ids = self._pieces(bracketed(text))
        check_length(text, ids)
        return ids


class BertEncoder(WholeEncoder):
    """The states that a host's BERT gives; in the place of what is behind a text's end stands what its start says.

    Since attention goes in both directions, the start speaks of the whole text, and the engine lets the start itself
    stand for the empty prompt.
    """

    def __init__(self, file: TensorFile, prefix: str, cut: BertCutter) -> None:
        """Takes what it reads with.

        Args:
            file: That has the weights.
            prefix: What their names begin with.
            cut: Cuts texts.

        Raises:
            ScaPreError: If they are not in the file.
        """
        self._file, self._prefix = file, prefix
        self._words_of = f"{prefix}embeddings.word_embeddings.weight"
        if self._words_of not in file.entries:
            raise ScaPreError(
                f"checkpoint: {shorten(file.path.name)} has no BERT in it ({self._words_of} is missing). Give the "
                "whole checkpoint of the model, with its text encoders."
            )
        super().__init__(file, cut, Rows(file, self._words_of))

    def _window(self, rows: Tensor, words: int, start: Tensor) -> Tensor:
        return ordered(rows[1:], words, start, rows[:1].expand(WINDOW, -1))

    @torch.no_grad()
    def _run(self, keys: Sequence[Ids], told: Told) -> list[Tensor]:
        texts = [(_START, *ids, _END) for ids in keys]
        order, groups = batches(texts)
        states = [self._embedded(torch.tensor([texts[place] for place in group])) for group in groups]
        layers = layers_of(self._file, f"{self._prefix}encoder.layer.")
        for number in range(layers):
            told(number, layers)
            states = [self._through(f"encoder.layer.{number}.", state) for state in states]
        told(layers, layers)
        rows = [row for state in states for row in state]
        return [rows[place] for place in order]

    def _embedded(self, ids: Tensor) -> Tensor:
        words = self._embeddings[ids]
        places, kinds = (
            self._read_weight(f"embeddings.{kind}_embeddings.weight") for kind in ("position", "token_type")
        )
        return self._normed("embeddings.LayerNorm", words + places[: ids.shape[1]] + kinds[0])

    def _through(self, layer: str, states: Tensor) -> Tensor:
        """A layer: norm(x + attention(x)), and then norm(x + feed-forward(x))."""
        query, key, value = (
            self._linear(f"{layer}attention.self.{name}", states).unflatten(-1, (-1, _HEAD)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        answered = self._linear(f"{layer}attention.output.dense", found)
        states = self._normed(f"{layer}attention.output.LayerNorm", states + answered)
        inner = F.gelu(self._linear(f"{layer}intermediate.dense", states))
        return self._normed(f"{layer}output.LayerNorm", states + self._linear(f"{layer}output.dense", inner))

    def _linear(self, name: str, states: Tensor) -> Tensor:
        return F.linear(states, self._read_weight(f"{name}.weight"), self._read_weight(f"{name}.bias"))

    def _normed(self, name: str, states: Tensor) -> Tensor:
        weight, bias = (self._read_weight(f"{name}.{part}") for part in ("weight", "bias"))
        return F.layer_norm(states, weight.shape, weight, bias, _EPSILON)

    def _read_weight(self, name: str) -> Tensor:
        return read_weight(self._file, self._prefix + name)
