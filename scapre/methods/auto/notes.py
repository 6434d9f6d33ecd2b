"""What the report says of the words that stay beside erased names."""

from __future__ import annotations

from collections.abc import Sequence

from ...concepts.aliases import aliases
from ...concepts.concepts import Concept
from ...concepts.names import normalise
from ...errors import shorten, some
from .kin import Kin

_SHOWN, _TOLD = 8, 6


def kin_notes(concepts: Sequence[Concept], kin: Sequence[Kin]) -> tuple[str, ...]:
    """What the report says of the words that stay."""
    found = [(concept, near) for concept, near in zip(concepts, kin, strict=True) if near.found]
    notes = [f"stays beside {shorten(concept.text)}: {', '.join(near.words[:_SHOWN])} …" for concept, near in found]
    if len(notes) > _TOLD:
        notes = [*notes[:_TOLD], f"and words beside {len(notes) - _TOLD} more"]
    gone = [concept.text for concept, near in zip(concepts, kin, strict=True) if near.all_go]
    if gone:
        notes.append(f"all that is near to {some(gone, _TOLD)} is erased, too: general words stay in its place")
    lost = [(concept.text, near.why) for concept, near in zip(concepts, kin, strict=True) if not near.known]
    if lost:
        why = lost[0][1] or f"no words were found near to {some([name for name, _ in lost], _TOLD)}"
        notes.append(f"{why}: general words stay in their place, so name what should stay under preserve")
    return (*notes, *_alias_notes(concepts, kin))


def _alias_notes(concepts: Sequence[Concept], kin: Sequence[Kin]) -> list[str]:
    """Which words call up the same and are not erased."""
    there = {normalise(concept.text) for concept in concepts}
    words = [
        dict.fromkeys((*near.alike, *(aliases(concept.text) if near.told else ())))
        for concept, near in zip(concepts, kin, strict=True)
    ]
    found = [
        (c, [word for word in some if word not in there][:_SHOWN]) for c, some in zip(concepts, words, strict=True)
    ]
    told = [f"{shorten(concept.text)} is also called up by {', '.join(words)}" for concept, words in found if words]
    more = [f"and {len(told) - _TOLD} more names by words like these"] if len(told) > _TOLD else []
    return [*told[:_TOLD], *more]
