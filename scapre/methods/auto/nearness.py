"""How near words lie to a name in the encoder's own states, which know more of it than its last token does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...states.encoder import Encoder
from ...states.prefixes import encode_prefixes

ALIKE = 0.8
"""Cosine from which on a word calls up the same as a name. On the drawn world of the benchmarks twins come to .6."""


def by_states(encoder: Encoder, pools: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, float]]]:
    """Words beside names, nearest first, with the cosines of their states and the name's, each alone in a text.

    States are those of the last token, less the mean over the name's words: what all of them have in common, and with
    it what the encoder puts into every state, tells none of them apart.

    Args:
        encoder: Reads no more of each text than its words.
        pools: The words of each name.
    """
    texts = dict.fromkeys(text for name, words in pools.items() for text in (name, *words))
    lengths = {text: len(encoder.tokens(text)) + 1 for text in texts}
    states = {text: state[-1] for text, state in encode_prefixes(encoder, lengths).items()}
    return {name: _ordered(states[name], words, states) for name, words in pools.items()}


def _ordered(name: Tensor, words: Sequence[str], states: Mapping[str, Tensor]) -> list[tuple[str, float]]:
    rows = torch.stack([states[word] for word in words]).double()
    middle = rows.mean(0)
    cosines = F.cosine_similarity(rows - middle, (name.double() - middle)[None])
    order = cosines.argsort(descending=True, stable=True).tolist()
    return [(words[place], float(cosines[place])) for place in order]
