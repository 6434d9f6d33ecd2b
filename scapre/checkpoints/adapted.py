"""Anima's text: a network of the model makes states of T5's tokens out of a language model's of the same text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..families.chat import QWEN_PADDING
from ..families.contexts import Read, finite
from ..states.lexicon import Lexicon
from ..states.sentences import END, literal, ordered
from .language_model import LanguageStates
from .pieces import Pieces
from .rotary import rotated
from .sentences import Ids, SentenceCutter, WholeEncoder
from .t5 import Told

_NETWORK = "diffusion_model.llm_adapter."
_BASE = 1e4
_EPSILON = 1e-6


class Adapter:
    """Tokens of T5's vocabulary, embedded, attend to each other and to a language model's states, block after block."""

    def __init__(self, read: Read, blocks: int) -> None:
        """Takes what reads the model's parameters, each once, and how many blocks there are."""
        self._read, self._blocks = read, blocks
        self._held: dict[str, Tensor] = {}

    def _named(self, name: str) -> Tensor:
        if name not in self._held:
            self._held[name] = finite(_NETWORK + name, self._read)
        return self._held[name]

    @torch.no_grad()
    def __call__(self, ids: Sequence[int], states: Tensor) -> Tensor:
        """States of T5's tokens, (tokens, width), from those of the language model, (others, width)."""
        found, context = self._named("embed.weight")[torch.tensor(ids)][None], states[None]
        for number in range(self._blocks):
            found = self._through(f"blocks.{number}.", found, context)
        found = F.linear(found, self._named("out_proj.weight"), self._named("out_proj.bias"))
        return self._normed("norm", found)[0]

    def _through(self, block: str, states: Tensor, context: Tensor) -> Tensor:
        inside = self._normed(f"{block}norm_self_attn", states)
        states = states + self._attention(f"{block}self_attn.", inside, inside)
        inside = self._normed(f"{block}norm_cross_attn", states)
        states = states + self._attention(f"{block}cross_attn.", inside, context)
        inner = F.gelu(self._linear(f"{block}mlp.0", self._normed(f"{block}norm_mlp", states)))
        return states + self._linear(f"{block}mlp.2", inner)

    def _attention(self, layer: str, states: Tensor, context: Tensor) -> Tensor:
        parts = {}
        for name, source in (("q", states), ("k", context)):
            norm = self._named(f"{layer}{name}_norm.weight")
            heads = F.linear(source, self._named(f"{layer}{name}_proj.weight")).unflatten(-1, (-1, len(norm)))
            parts[name] = rotated(F.rms_norm(heads, norm.shape, norm, _EPSILON).transpose(1, 2), _BASE)
        value = F.linear(context, self._named(f"{layer}v_proj.weight"))
        value = value.unflatten(-1, (parts["k"].shape[1], -1)).transpose(1, 2)
        found = F.scaled_dot_product_attention(parts["q"], parts["k"], value).transpose(1, 2).flatten(2)
        return F.linear(found, self._named(f"{layer}o_proj.weight"))

    def _linear(self, name: str, states: Tensor) -> Tensor:
        return F.linear(states, self._named(f"{name}.weight"), self._named(f"{name}.bias"))

    def _normed(self, name: str, states: Tensor) -> Tensor:
        weight = self._named(f"{name}.weight")
        return F.rms_norm(states, weight.shape, weight, _EPSILON)


class AdaptedEncoder(WholeEncoder):
    """The states that a host's Anima reads; behind a text's end it has zeros."""

    def __init__(self, model: LanguageStates, network: Adapter, cut: SentenceCutter, pieces: Pieces) -> None:
        """Takes the language model, the network, what cuts texts for T5, and for the language model."""
        super().__init__(model.model.file, cut, torch.empty(0, model.width))
        self._model, self._network, self._pieces = model, network, pieces

    def lexicon(self) -> Lexicon:
        """No words: those of neither vocabulary have embeddings that mean what is read here."""
        return Lexicon.none()

    def _key(self, text: str) -> Ids:
        """T5's tokens, how many they are before them, and the language model's."""
        ids = self._ids(text)
        return (len(ids), *ids, *(self._pieces(literal(text)) or (QWEN_PADDING,)))

    def _words(self, key: Ids) -> int:
        return key[0]

    def _run(self, keys: Sequence[Ids], told: Told) -> list[Tensor]:
        states = self._model([key[key[0] + 1 :] for key in keys], told).texts
        texts = ((*key[1 : key[0] + 1], END) for key in keys)
        return [self._network(ids, read) for ids, read in zip(texts, states, strict=True)]

    def _window(self, rows: Tensor, words: int, start: Tensor) -> Tensor:
        return ordered(rows, words, start, 0.0)
