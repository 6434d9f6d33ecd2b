"""Runs a language model layer by layer from its file, all texts through a layer before the next is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScaPreError, shorten
from .float8 import layers_of, read_weight
from .language_models import Build, LanguageModel
from .rotary import rotated
from .t5 import Told, batches

NOTHING = 151643
"""What stands for a text without tokens, and fills texts up, in Qwen's vocabulary."""

_MAY_LACK = (".bias", "q_norm.weight", "k_norm.weight")

Ids = Sequence[int]
Read = Callable[[str], Tensor | None]


class Keys(NamedTuple):
    """What later tokens attend to, (texts, heads, tokens, head)."""

    keys: Tensor
    values: Tensor


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

    def __init__(self, model: LanguageModel, layers: Sequence[int] = (0,), *, normed: bool = True) -> None:
        """Takes the model; nothing is read yet.

        Args:
            model: In its file.
            layers: After how many layers states are taken, side by side; 0 and below are counted from the last.
            normed: Whether they go through the last norm.
        """
        self.model, self._asked, self._normed = model, layers, normed

    @property
    def width(self) -> int:
        """Of a state."""
        return self.model.width * len(self._asked)

    @torch.no_grad()
    def __call__(
        self, texts: Sequence[Ids], told: Told = lambda done, total: None, *, before: Ids = (), filled: int = 0
    ) -> States:
        """States of texts; what stands before them all is computed once.

        Args:
            texts: Ids of each text's tokens, none without any unless it is filled up.
            told: Called before every layer.
            before: Ids of what stands before every text.
            filled: How many tokens padding fills a text up to, which no token attends to.

        Raises:
            ScaPreError: If a weight is missing, not finite, or quantised in another way than float8.
        """
        order, groups = batches(texts)
        padding = [[NOTHING] * max(0, filled - len(texts[group[0]])) for group in groups]
        held = [
            self._embedded([[*texts[at], *more] for at in group]) for group, more in zip(groups, padding, strict=True)
        ]
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
            layer = _Layer(self._reader(f"layers.{number}."), self.model.build)
            first, earlier = layer(states[0], ends[0]) if ends[0] else (states[0], None)
            later = (layer(batch, end, earlier)[0] for batch, end in zip(states[1:], ends[1:], strict=True))
            states = [first, *later]
            if number + 1 in wanted:
                taken[number + 1] = self._finished(states)
        told(max(wanted), max(wanted))
        return [torch.cat(parts, -1) for parts in zip(*(taken[layer] for layer in wanted), strict=True)]

    def _finished(self, states: list[Tensor]) -> list[Tensor]:
        if not self._normed:
            return states
        weight = read_weight(self.model.file, f"{self.model.prefix}norm.weight")
        return [_norm(state, weight, self.model.build) for state in states]

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


class _Layer:
    """A layer: x + attention(norm x), and then x + feed-forward(norm x); Gemma norms what is added, too."""

    def __init__(self, read: Read, build: Build) -> None:
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
        return rotated(found if norm is None else _norm(found, norm, self._build), self._build.base, first)

    def _split(self, states: Tensor) -> Tensor:
        found: Tensor = states.unflatten(-1, (-1, self._build.head))
        return found.transpose(1, 2)

    def _linear(self, name: str, states: Tensor) -> Tensor:
        weight = self._read(f"{name}.weight")
        assert weight is not None  # only biases and norms may be missing
        return F.linear(states, weight, self._read(f"{name}.bias"))

    def _normed(self, name: str, states: Tensor) -> Tensor:
        weight = self._read(f"{name}.weight")
        assert weight is not None
        return _norm(states, weight, self._build)


def _behind(earlier: Keys, keys: Keys) -> Keys:
    """The keys and values of what stands before every text, and those of the texts behind them."""
    texts = len(keys.keys)
    return Keys(*(torch.cat((one.expand(texts, -1, -1, -1), its), 2) for one, its in zip(earlier, keys, strict=True)))


def _seen(tokens: int, first: int, end: int) -> Tensor:
    """What each token attends to, (tokens, first + tokens): itself and what stands before it, up to the end."""
    places = torch.arange(first + tokens)
    return (places <= places[first:, None]) & (places < first + end)


def _norm(states: Tensor, weight: Tensor, build: Build) -> Tensor:
    return F.rms_norm(states, weight.shape, weight + build.gemma, build.epsilon)
