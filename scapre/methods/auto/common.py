"""Texts that stay, and the moment of general words, which is the same for every list and read once for an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ...concepts.concepts import Concept
from ...errors import ScaPreError
from ...progress import Progress
from ...states.encoder import Encoder
from ...states.prefixes import encode_prefixes
from .contexts import MOST_TOKENS, PADDING, WORDINGS
from .kin import general_words
from .moments import Moment, half, kept_weights

_STAGE = "text encoding"
_TOGETHER = 256


def read_lengths(encoder: Encoder, texts: Sequence[str]) -> dict[str, int]:
    """Positions that are read of each text."""
    return {text: len(encoder.tokens(text)) + 2 + PADDING for text in texts}


def fits(encoder: Encoder, text: str) -> bool:
    """Whether a text leaves room for what is read behind it."""
    try:
        return len(encoder.tokens(text)) <= MOST_TOKENS
    except ScaPreError:
        return False


def keep(states: Mapping[str, Tensor], *moments: Moment) -> None:
    """Adds texts that stay to moments."""
    for state in states.values():
        weighted = state * kept_weights(len(state) - 1 - PADDING, len(state))[:, None]
        for moment in moments:
            moment.add(weighted, state)


def common_moment(encoder: Encoder, concepts: Sequence[Concept], width: int, progress: Progress) -> Tensor:
    """Mean over the texts of general words, without those that are erased: an upper triangle, float64."""
    words, erased = general_words(encoder, concepts)
    texts, gone = _texts(words), _texts(erased)

    def whole() -> Tensor:
        return _moment(encoder, texts, width, progress).float()

    found = encoder.remembered("general words: " + "\n".join(texts), whole)
    total = (found if found.shape == (width * (width + 1) // 2,) else whole()).double()
    if gone:
        total = total - _moment(encoder, gone, width, progress)
    return total / max(1, len(texts) - len(gone))


def _texts(words: Sequence[str]) -> list[str]:
    return [wording.replace("{}", word) for word in words for wording in WORDINGS[:2]]


def _moment(encoder: Encoder, texts: Sequence[str], width: int, progress: Progress) -> Tensor:
    moment = Moment(width)
    for start in range(0, len(texts), _TOGETHER):
        progress(_STAGE, start, len(texts))
        keep(encode_prefixes(encoder, read_lengths(encoder, texts[start : start + _TOGETHER])), moment)
    progress(_STAGE, len(texts), len(texts))
    return half(moment.total())
