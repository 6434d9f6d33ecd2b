"""The text encoder: CLIP-L's architecture with frozen weights that are made again, bit for bit, from a seed.

Nothing of it is trained, so nothing has to be shipped. What matters to an edit of the text projections is the geometry
of the states, so three things about CLIP's are imitated. Words of one kind (objects, colours, artists) and, closer
still, twins have related embeddings. The bias of the last norm gives all states a common direction. And attention mixes
what was said before into every later token, so that a word's state depends on its context, and the end of the text and
the padding tell what the whole of it says.

Only integers are drawn at chance, and scaled by products of single floats: no library's idea of a normal distribution,
and no order of summation, can change a bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .world import ARTIST_NAMES, COLOURS, TWINS

SEED = 2026
WIDTH, LAYERS, HIDDEN, TOKENS, POSITIONS = 768, 12, 3072, 49408, 77
PREFIX = "cond_stage_model.transformer.text_model."

POSITION, MIXING, COMPUTING, COMMON = 0.3, 0.35, 0.12, 0.5
"""How large positions, the output of an attention and of an MLP, and the common direction are, beside a token's 1."""
KIND, TWIN = 0.2, 0.35
"""Cosines between the embeddings of words of one kind, and what twins have in common beyond that."""


class Chance:
    """Uniform numbers of mean 0 and deviation 1, the same on every machine."""

    def __init__(self, seed: int) -> None:
        self._raw = np.random.Philox(key=seed).random_raw

    def __call__(self, *shape: int) -> np.ndarray:
        """Draw an array of 16-bit steps, as float32."""
        count = int(np.prod(shape))
        steps = self._raw((count + 3) // 4).view(np.uint16)[:count]
        return (steps.astype(np.float32) - np.float32(32767.5)) * np.float32(12**0.5 / 65536)


def weights(words: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return the encoder's weights in half precision, under the names that an SD1.5 checkpoint has.

    Args:
        words: the token numbers of every name in the world.
    """
    chance = Chance(SEED)
    found = {"embeddings.token_embedding.weight": _tokens(chance, words)}
    found["embeddings.position_embedding.weight"] = POSITION * chance(POSITIONS, WIDTH).reshape(POSITIONS, WIDTH)
    for layer in range(LAYERS):
        found |= {f"encoder.layers.{layer}.{name}": value for name, value in _layer(chance)}
    found["final_layer_norm.weight"] = np.ones(WIDTH, np.float32)
    found["final_layer_norm.bias"] = COMMON * chance(WIDTH)
    return {PREFIX + name: torch.from_numpy(value.astype(np.float16)) for name, value in found.items()}


def _tokens(chance: Chance, words: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Return (TOKENS, WIDTH): independent, but for the world's names."""
    table = chance(TOKENS * WIDTH).reshape(TOKENS, WIDTH)
    kinds = [[word for pair in TWINS for word in pair], list(COLOURS), list(ARTIST_NAMES)]
    own = np.float32((1 - KIND) ** 0.5), np.float32((1 - KIND - TWIN) ** 0.5)
    related: dict[int, np.ndarray] = {}
    for kind in kinds:
        shared = np.float32(KIND**0.5) * chance(WIDTH)
        for word in kind:
            for token in words[word]:
                related.setdefault(token, shared + own[0] * table[token])
    for pair in TWINS:
        shared = np.float32(TWIN**0.5) * chance(WIDTH)
        for word in pair:
            for token in words[word]:
                base = related[token] - own[0] * table[token]
                related[token] = base + shared + own[1] * table[token]
    for token, vector in related.items():
        table[token] = vector
    return table


def _layer(chance: Chance) -> Iterator[tuple[str, np.ndarray]]:
    for norm in ("layer_norm1", "layer_norm2"):
        yield f"{norm}.weight", np.ones(WIDTH, np.float32)
        yield f"{norm}.bias", np.zeros(WIDTH, np.float32)
    for name, gain in (("q_proj", 1), ("k_proj", 1), ("v_proj", 1), ("out_proj", MIXING)):
        yield from _linear(chance, f"self_attn.{name}", WIDTH, WIDTH, gain)
    yield from _linear(chance, "mlp.fc1", WIDTH, HIDDEN, 1)
    yield from _linear(chance, "mlp.fc2", HIDDEN, WIDTH, 1.6 * COMPUTING)  # 1.6: what the activation takes away


def _linear(chance: Chance, name: str, inputs: int, outputs: int, gain: float) -> Iterator[tuple[str, np.ndarray]]:
    scale = np.float32(gain / inputs**0.5)
    yield f"{name}.weight", scale * chance(outputs * inputs).reshape(outputs, inputs)
    yield f"{name}.bias", np.zeros(outputs, np.float32)
