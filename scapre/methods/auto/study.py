"""What `auto` reads of a text encoder: the kin of each name, and the moments of prompts with it and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...concepts.concepts import Concept
from ...concepts.names import normalise
from ...concepts.spelling import core
from ...progress import Progress
from ...states.lexicon import Lexicon
from ...states.prompts import NULL
from ...states.token_states import Encoder
from .contexts import COMBINED, Slot, kept_texts, slots
from .moments import Span, concept_moments, kept_moment

_ANCHORS = 4  # kin whose mean takes a name's place
_TEXTS = 128  # kept texts encoded at a time
_STAGE = "text encoding"


def study(
    encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], progress: Progress
) -> dict[str, Tensor]:
    """Moments of a list.

    Returns:
        erased: S. way: D. kept: G; all (d, d), float64. square: (1,) ν.
    """
    lexicon = encoder.lexicon()
    kin = [find_kin(encoder, lexicon, concept.text, concepts, preserve) for concept in concepts]
    erased = way = square = torch.zeros(())
    for index, (concept, words) in enumerate(zip(concepts, kin, strict=True)):
        progress(_STAGE, index, len(concepts) + 1)
        s, d, mean = _study_one(encoder, concept, words, len(concepts))
        erased, way, square = erased + s, way + d, square + mean / len(concepts)
    words = list(dict.fromkeys([*preserve, *(word for found in kin for word in found)]))
    kept = _study_kept(encoder, words)
    progress(_STAGE, len(concepts) + 1, len(concepts) + 1)
    return {"erased": erased, "way": way, "kept": kept, "square": square.reshape(1)}


def find_kin(
    encoder: Encoder, lexicon: Lexicon | None, name: str, concepts: Sequence[Concept], preserve: Sequence[str]
) -> list[str]:
    """Preserved names, then the words nearest to a name's last token that are in no name of the list."""
    if lexicon is None:
        return list(preserve)
    banned = {word for concept in concepts for word in normalise(concept.text).split()}
    count = max(12, min(400 // len(concepts), 60))
    last = encoder.tokens(core(name))[-1]
    return [*preserve, *(word for word in lexicon.nearest(last, count, banned) if word not in preserve)]


def _study_one(encoder: Encoder, concept: Concept, kin: Sequence[str], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """S, D and the mean square of the states of one concept."""
    anchors = [concept.anchor] if concept.anchor != NULL else list(kin[:_ANCHORS])
    places = list(slots(kin[: len(COMBINED)], len(COMBINED) if count < 20 else 4))
    texts = [slot.fill(name) for slot in places for name in (concept.text, *(anchors or [NULL]))]
    states = iter(encoder.encode(texts, lambda *_: None))
    erased = way = square = torch.zeros(())
    for slot in places:
        own, span = next(states), _span(encoder, slot, concept.text)
        others = [(next(states), _span(encoder, slot, name)) for name in (anchors or [NULL])]
        s, d = concept_moments(own, span, others)
        erased, way = erased + s, way + d
        square = square + own[span.first :].double().square().mean()
    return erased / len(places), way / len(places), square / len(places)


def _span(encoder: Encoder, slot: Slot, name: str) -> Span:
    first = len(encoder.tokens(slot.before)) + 1
    last = max(len(encoder.tokens(core(slot.before + name))), first) if name else first
    return Span(first, last, len(encoder.tokens(slot.fill(name))) + 1)


def _study_kept(encoder: Encoder, words: Sequence[str]) -> Tensor:
    texts = kept_texts(words, 160)
    total = torch.zeros(())
    for text, states in _encoded(encoder, texts):
        total = total + kept_moment(states, len(encoder.tokens(text)) + 1)
    return total / len(texts)


def _encoded(encoder: Encoder, texts: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    for start in range(0, len(texts), _TEXTS):
        some = texts[start : start + _TEXTS]
        yield from zip(some, encoder.encode(some, lambda *_: None), strict=True)
