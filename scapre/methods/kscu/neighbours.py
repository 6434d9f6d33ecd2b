"""What is held while concepts are trained away: preserved names, and words that are near to the concepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...concepts.concepts import Concept
from ...concepts.spelling import core
from ...states.encoder import Encoder
from ..auto.kin import find_kin
from ..auto.kinds import kinds_of

_MOST = 128  # near words in all: each is drawn before training begins, and kept at every key step


def held_names(
    encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], settings: Any
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prompts that are held, each once, and notes. Neighbours are those that `auto` takes for kin.

    Args:
        encoder: Its vocabulary is searched.
        concepts: What is trained away.
        preserve: Names that stay.
        settings: Of KSCU.
    """
    if not settings.hold:
        return (), ("preserved names are not held, since hold is 0",) if preserve else ()
    names = [core(name) for name in preserve]
    each = min(settings.neighbours, max(1, _MOST // len(concepts)))
    if each:
        for kin in find_kin(encoder, concepts, preserve, kinds_of("any", concepts)):
            names += kin.words[:each]
    if not names:
        return (), ("nothing is held: preserve is empty, and neighbours is 0",)
    fewer = f"{each} near words are held for each name, since there are many"
    return tuple(dict.fromkeys(names)), (fewer,) if each < settings.neighbours else ()
