"""A layer of a language model: attention to what stands before, and a gated feed-forward network."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .language_models import Build
from .rotary import rotated

Read = Callable[[str], Tensor | None]
"""A weight of the layer by its name; None for a bias or a norm that is not there."""


class Keys(NamedTuple):
    """What later tokens attend to, (texts, heads, tokens, head)."""

    keys: Tensor
    values: Tensor


class Layer:
    """A layer: x + attention(norm x), and then x + feed-forward(norm x); Gemma norms what is added, too."""

    def __init__(self, read: Read, build: Build) -> None:
        """Takes what reads its weights, and how the model computes."""
        self._read, self._build = read, build

    def __call__(self, states: Tensor, end: int, earlier: Keys | None = None) -> tuple[Tensor, Keys]:
        """States (texts, tokens, width) of texts that end at a token, behind tokens of which these are the keys."""
        gemma = self._build.gemma
        found, keys = self._attention(self._normed("input_layernorm", states), end, earlier)
        states = states + (self._normed("post_attention_layernorm", found) if gemma else found)
        inside = self._normed("pre_feedforward_layernorm" if gemma else "post_attention_layernorm", states)
        inner = self._linear("mlp.gate_proj", inside)
        inner = F.gelu(inner, approximate="tanh") if gemma else F.silu(inner)
        inner = self._linear("mlp.down_proj", inner * self._linear("mlp.up_proj", inside))
        return states + (self._normed("post_feedforward_layernorm", inner) if gemma else inner), keys

    def _attention(self, states: Tensor, end: int, earlier: Keys | None) -> tuple[Tensor, Keys]:
        first = earlier.keys.shape[2] if earlier else 0
        query, key = (self._heads(name, states, first) for name in "qk")
        keys = Keys(key, self._split(self._linear("self_attn.v_proj", states)))
        every = _behind(earlier, keys) if earlier else keys
        shared = query.shape[1] // key.shape[1]
        all_keys, values = (one.repeat_interleave(shared, 1) for one in every)
        found = F.scaled_dot_product_attention(query, all_keys, values, attn_mask=_seen(states.shape[1], first, end))
        return self._linear("self_attn.o_proj", found.transpose(1, 2).flatten(2)), keys

    def _heads(self, name: str, states: Tensor, first: int) -> Tensor:
        """Rotated queries or keys by head."""
        found = self._split(self._linear(f"self_attn.{name}_proj", states))
        norm = self._read(f"self_attn.{name}_norm.weight")
        return rotated(found if norm is None else mean_normed(found, norm, self._build), self._build.base, first)

    def _split(self, states: Tensor) -> Tensor:
        found: Tensor = states.unflatten(-1, (-1, self._build.head))
        return found.transpose(1, 2)

    def _linear(self, name: str, states: Tensor) -> Tensor:
        return F.linear(states, self._weight(name), self._read(f"{name}.bias"))

    def _normed(self, name: str, states: Tensor) -> Tensor:
        return mean_normed(states, self._weight(name), self._build)

    def _weight(self, name: str) -> Tensor:
        weight = self._read(f"{name}.weight")
        assert weight is not None  # only biases, and the norms of heads, may be missing
        return weight


def _behind(earlier: Keys, keys: Keys) -> Keys:
    """The keys and values of what stands before every text, and those of the texts behind them."""
    texts = len(keys.keys)
    return Keys(*(torch.cat((one.expand(texts, -1, -1, -1), its), 2) for one, its in zip(earlier, keys, strict=True)))


def _seen(tokens: int, first: int, end: int) -> Tensor:
    """What each token attends to, (tokens, first + tokens): itself and what stands before it, up to the end."""
    places = torch.arange(first + tokens)
    return (places <= places[first:, None]) & (places < first + end)


def mean_normed(states: Tensor, weight: Tensor, build: Build) -> Tensor:
    """States of mean square 1, times a weight."""
    return F.rms_norm(states, weight.shape, weight + build.gemma, build.epsilon)
