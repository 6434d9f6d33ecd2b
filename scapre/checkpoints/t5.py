"""Runs a T5 encoder layer by layer from its file, all texts through a layer before the next is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScaPreError, shorten
from .t5_file import T5File

_EPSILON = 1e-6
_REACH = 128  # tokens: all that are farther apart share a row of the table of positions
_TOKENS = 2048  # in a layer at once

Told = Callable[[int, int], None]
"""Told how many of how many layers are done; may raise to stop."""


class T5:
    """States of token ids, as ComfyUI computes them in float32.

    A layer of the largest takes 0.8 GB, and only the rows of the embeddings that are needed are read.
    """

    def __init__(self, file: T5File) -> None:
        """Takes the weights; none is read yet."""
        self.file = file
        self._layer: dict[str, Tensor] = {}

    @property
    def width(self) -> int:
        """Of a state."""
        return self.file.shape(self.file.embeddings)[1]

    @torch.no_grad()
    def __call__(
        self,
        texts: Sequence[Sequence[int]],
        told: Told = lambda done, total: None,
        *,
        filled: int = 0,
        padding: int = 0,
    ) -> list[Tensor]:
        """States of each text's tokens, and of what fills it up, (tokens, width), float32.

        Args:
            texts: Ids of each text's tokens, its end included.
            told: Called before every layer.
            filled: How many tokens padding fills a text up to, which no token attends to.
            padding: Its id.

        Raises:
            ScaPreError: If a weight is missing, of another shape or quantised, or the file has changed meanwhile.
        """
        order, groups = batches(texts)
        ends = [len(texts[group[0]]) for group in groups]
        states = [
            self._embedded([[*texts[place], *[padding] * (filled - end)] for place in group])
            for group, end in zip(groups, ends, strict=True)
        ]
        table = torch.empty(0)
        for number in range(self.file.layers):
            told(number, self.file.layers)
            block = f"encoder.block.{number}"
            if number == 0 or self.file.own_positions:
                table = self.file.weight(f"{block}.layer.0.SelfAttention.relative_attention_bias")
            weights = self._read(block)
            try:
                states = [
                    _through(weights, state, _seen(_positions(table, state.shape[1]), end))
                    for state, end in zip(states, ends, strict=True)
                ]
            except RuntimeError as error:
                raise self._misshapen(block, error) from None
        told(self.file.layers, self.file.layers)
        norm = self.file.weight("encoder.final_layer_norm")
        rows = [row for state in states for row in _normed(state, norm)]
        return [rows[place] for place in order]

    def _embedded(self, texts: Sequence[Sequence[int]]) -> Tensor:
        ids = torch.tensor(texts)
        most = self.file.shape(self.file.embeddings)[0]
        if int(ids.max()) >= most:
            raise ScaPreError(
                f"{self.file.where} has embeddings of {most:,} tokens, and its "
                "vocabulary more. Give the encoder and the vocabulary that belong together."
            )
        rows = self.file.rows(ids.flatten()).view(*ids.shape, -1)
        return rows.nan_to_num() if self.file.eight_bits else rows

    def _read(self, block: str) -> Mapping[str, Tensor]:
        """Weights of a block, in the memory of the one before: so the process does not grow."""
        for name in _names(gated=self.file.gated):
            weight = self.file.weight(f"{block}.{name}")
            if name not in self._layer:
                self._layer[name] = weight.clone()
            elif self._layer[name].shape == weight.shape:
                self._layer[name].copy_(weight)
            else:
                raise self._misshapen(f"{block}.{name}", None)
        return self._layer

    def _misshapen(self, where: str, error: RuntimeError | None) -> ScaPreError:
        return ScaPreError(
            f"{self.file.where}: {where} does not fit the rest"
            f"{f' ({shorten(error)})' if error else ''}. The file is damaged; get it again."
        )


def _names(*, gated: bool) -> tuple[str, ...]:
    inner = ("wi_0", "wi_1", "wo") if gated else ("wi", "wo")
    attention = (f"layer.0.SelfAttention.{name}" for name in "qkvo")
    return (
        *attention, *(f"layer.1.DenseReluDense.{name}" for name in inner), "layer.0.layer_norm", "layer.1.layer_norm",
    )  # fmt: skip


def batches(texts: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Places of the texts in what the batches give, and batches of texts of one length: nothing is padded."""
    lengths: dict[int, list[int]] = {}
    for place, ids in enumerate(texts):
        lengths.setdefault(len(ids), []).append(place)
    batches = [
        places[start : start + max(1, _TOKENS // max(1, length))]
        for length, places in lengths.items()
        for start in range(0, len(places), max(1, _TOKENS // max(1, length)))
    ]
    found = [place for batch in batches for place in batch]
    return torch.tensor(found).argsort().tolist(), batches


def _through(weights: Mapping[str, Tensor], states: Tensor, positions: Tensor) -> Tensor:
    """One block: x + attention(norm x), and then x + feed-forward(norm x)."""
    states = states + _attention(weights, _normed(states, weights["layer.0.layer_norm"]), positions)
    return states + _feed_forward(weights, _normed(states, weights["layer.1.layer_norm"]))


def _attention(weights: Mapping[str, Tensor], states: Tensor, positions: Tensor) -> Tensor:
    """Attention of all tokens to all, without a scale, and with a bias by distance."""
    query, key, value, out = (weights[f"layer.0.SelfAttention.{name}"] for name in "qkvo")
    heads = positions.shape[1]
    q, k, v = (F.linear(states, weight).unflatten(-1, (heads, -1)).transpose(1, 2) for weight in (query, key, value))
    found = F.scaled_dot_product_attention(q, k, v, attn_mask=positions, scale=1.0)
    return F.linear(found.transpose(1, 2).flatten(2), out)


def _feed_forward(weights: Mapping[str, Tensor], states: Tensor) -> Tensor:
    """T5 1.1 and later multiply one layer by the GELU of another; the first T5 has one, and ReLU."""
    start = "layer.1.DenseReluDense."
    if f"{start}wi" in weights:
        inner = F.linear(states, weights[f"{start}wi"]).relu()
    else:
        inner = F.gelu(F.linear(states, weights[f"{start}wi_0"]), approximate="tanh")
        inner = inner * F.linear(states, weights[f"{start}wi_1"])
    return F.linear(inner, weights[f"{start}wo"])


def _normed(states: Tensor, weight: Tensor) -> Tensor:
    """States of mean square 1, times a weight."""
    return weight * (states * torch.rsqrt(states.square().mean(-1, keepdim=True) + _EPSILON))


def _seen(positions: Tensor, end: int) -> Tensor:
    """The same where no token attends to those from an end on."""
    behind = torch.arange(positions.shape[-1]) >= end
    return positions.masked_fill(behind, -math.inf) if behind.any() else positions


def _positions(table: Tensor, length: int) -> Tensor:
    """Bias by the distance of two tokens, (1, heads, length, length), from a table (buckets, heads).

    Half of the rows are for what stands before a token, half for what follows it; of each half the first half are for
    single distances, and the others for ranges that grow by a factor, up to `_REACH`.
    """
    half = len(table) // 2
    single = half // 2
    places = torch.arange(length)
    away = places[None, :] - places[:, None]
    far = away.abs().float().clamp(min=1) / single
    ranges = single + (torch.log(far) / math.log(_REACH / single) * (half - single)).long()
    bucket = torch.where(away.abs() < single, away.abs(), ranges.clamp(max=half - 1)) + half * (away > 0)
    return table[bucket].permute(2, 0, 1)[None]


class Rows:
    """Embeddings that stay in the file: what is asked for is read."""

    device = torch.device("cpu")

    def __init__(self, file: T5File) -> None:
        """Takes the file."""
        self._file = file

    @property
    def shape(self) -> tuple[int, ...]:
        """(tokens, width)."""
        return self._file.shape(self._file.embeddings)

    def __getitem__(self, ids: Tensor, /) -> Tensor:
        """Rows, float32."""
        return self._file.rows(ids)
