"""The text encoder: CLIP-L's architecture with frozen weights that are made again, bit for bit, from a seed.

Nothing of it is trained, so nothing has to be shipped. What matters to an edit of the text projections is the geometry
of the states, so traits of CLIP's are imitated:

* words of one kind (objects, colours, artists) and, closer still, twins have related embeddings;
* the parts of an artist's name before the last tell little: four artists share them, as people share first names;
* every token looks at the names said before it rather than at other words, so that the end of a text and the padding
  tell what the whole of it says, and a name means nearly the same in every wording;
* the bias of the last norm gives all states a common direction.

Only integers are drawn at chance, and scaled by products of single floats: no library's idea of a normal distribution,
and no order of summation, can change a bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .world import ARTIST_NAMES, COLOURS, OBJECTS, TWINS

SEED = 2026
WIDTH, LAYERS, HIDDEN, TOKENS, POSITIONS = 768, 12, 3072, 49408, 77
PREFIX = "cond_stage_model.transformer.text_model."

POSITION, MIXING, COMPUTING, COMMON = 0.3, 0.45, 0.12, 0.5
"""How large positions, the output of an attention and of an MLP, and the common direction are, beside a token's 1."""
KIND, TWIN = 0.2, 0.35
"""Cosines between the embeddings of words of one kind, and what twins have in common beyond that."""
SALIENCE, ATTENTION, CURIOSITY = 0.6, 1.0, 0.5
"""How much of a name's embedding marks it as one, how strongly all heads look for the mark, and for anything else."""
NAMESAKES = 4
"""Artists whose names differ in the last token alone."""


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
    mark, look = chance(WIDTH), chance(WIDTH)
    found = {"embeddings.token_embedding.weight": _tokens(chance, words, mark)}
    found["embeddings.position_embedding.weight"] = POSITION * chance(POSITIONS, WIDTH).reshape(POSITIONS, WIDTH)
    for layer in range(LAYERS):
        found |= {f"encoder.layers.{layer}.{name}": value for name, value in _layer(chance, mark, look)}
    found["final_layer_norm.weight"] = np.ones(WIDTH, np.float32)
    found["final_layer_norm.bias"] = COMMON * chance(WIDTH)
    return {PREFIX + name: torch.from_numpy(value.astype(np.float16)) for name, value in found.items()}


def _tokens(chance: Chance, words: Mapping[str, Sequence[int]], mark: np.ndarray) -> np.ndarray:
    """Return (TOKENS, WIDTH): independent, but for the world's names."""
    table = chance(TOKENS * WIDTH).reshape(TOKENS, WIDTH)
    twins = {words[name][-1]: number for number, pair in enumerate(TWINS) for name in pair}
    shared = [np.float32(TWIN**0.5) * chance(WIDTH) for _ in TWINS]
    for kind in ([*OBJECTS], [*COLOURS], [*ARTIST_NAMES]):
        common = np.float32(KIND**0.5) * chance(WIDTH)
        for name in kind:
            token = words[name][-1]
            own = np.float32((1 - KIND - (TWIN if token in twins else 0)) ** 0.5) * table[token]
            table[token] = common + own + (shared[twins[token]] if token in twins else 0) + SALIENCE * mark
    for start in range(0, len(ARTIST_NAMES), NAMESAKES):
        first = chance(WIDTH)
        for name in ARTIST_NAMES[start : start + NAMESAKES]:
            table[list(words[name][:-1])] = first
    return table


def _layer(chance: Chance, mark: np.ndarray, look: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Return a layer's weights; every query contains `look`, and the key of what carries the mark answers to it."""
    for norm in ("layer_norm1", "layer_norm2"):
        yield f"{norm}.weight", np.ones(WIDTH, np.float32)
        yield f"{norm}.bias", np.zeros(WIDTH, np.float32)
    query, key, *others = (
        dict(_linear(chance, f"self_attn.{name}", WIDTH, WIDTH, gain))
        for name, gain in (("q_proj", CURIOSITY), ("k_proj", 1), ("v_proj", 1), ("out_proj", MIXING))
    )
    query["self_attn.q_proj.bias"] = look
    key["self_attn.k_proj.weight"] += np.float32(ATTENTION / WIDTH) * look[:, None] * mark
    for linear in (query, key, *others):
        yield from linear.items()
    yield from _linear(chance, "mlp.fc1", WIDTH, HIDDEN, 1)
    yield from _linear(chance, "mlp.fc2", HIDDEN, WIDTH, 1.6 * COMPUTING)  # 1.6: what the activation takes away


def _linear(chance: Chance, name: str, inputs: int, outputs: int, gain: float) -> Iterator[tuple[str, np.ndarray]]:
    scale = np.float32(gain / inputs**0.5)
    yield f"{name}.weight", scale * chance(outputs * inputs).reshape(outputs, inputs)
    yield f"{name}.bias", np.zeros(outputs, np.float32)
