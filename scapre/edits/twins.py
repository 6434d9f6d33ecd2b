"""Finds out which names of several edits mean the same, also where an edit hides its names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from ..concepts.concepts import Concept
from ..concepts.names import HIDDEN, hidden_name, is_hidden
from ..states.prompts import BARE, NULL, fill
from ..states.token_states import TokenStates

NEAR = 1e-3
"""States this close belong to one text: another batch or device moves them by 1e-6 to 1e-4, another text by more."""

Subjects = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Part:
    """What one edit contributes to a union.

    Attributes:
        label: Its name for people, such as the input it came from.
        concepts: What is erased.
        preserve: Names that are reported on.
        templates: Wordings of the concepts that have none of their own.
        states: Of all texts.
    """

    label: str
    concepts: tuple[Concept, ...]
    preserve: tuple[str, ...]
    templates: tuple[str, ...]
    states: TokenStates

    def names(self) -> tuple[str, ...]:
        """Names of concepts, anchors and what is preserved, each once."""
        pairs = (name for concept in self.concepts for name in (concept.text, concept.anchor))
        return tuple(name for name in dict.fromkeys([*pairs, *self.preserve]) if name != NULL)

    def subjects(self) -> Subjects:
        """State of the last subject token, (d,), by template and name."""
        found: dict[str, dict[str, Tensor]] = {}
        if not self.states.whole:
            return found
        for concept in self.concepts:
            for template in concept.templates or self.templates:
                for name in (concept.text, concept.anchor):
                    found.setdefault(template, {})[name] = self.states.subject(fill(template, name))
        for name in self.preserve:
            found.setdefault(BARE, {})[name] = self.states.subject(fill(BARE, name))
        return {template: {name: states[name] for name in states if name != NULL} for template, states in found.items()}


def common_names(parts: Sequence[Part]) -> list[dict[str, str]]:
    """What each name of each part is called in the union.

    Typed names stay. A name whose text has the states of another name, one of the two being hidden, is that name. Other
    hidden names are numbered on.
    """
    known: dict[str, dict[str, Tensor]] = {}
    taken: set[str] = set()
    result = []
    for part in parts:
        subjects = part.subjects()
        names = _twins(subjects, known)
        for name in part.names():
            if name not in names:
                names[name] = _free(name, taken) if is_hidden(name) else name
            taken.add(names[name])
        for template, states in subjects.items():
            known.setdefault(template, {}).update({names[name]: state for name, state in states.items()})
        result.append({NULL: NULL, **names})
    return result


def _free(name: str, taken: set[str]) -> str:
    kind = name.split(HIDDEN)[0]
    numbers = (hidden_name(kind, number) for number in count(1))
    return name if name not in taken else next(free for free in numbers if free not in taken)


def _twins(subjects: Subjects, known: Subjects) -> dict[str, str]:
    """Names that mean a known one, where at least one of the two is hidden."""
    found: dict[str, str] = {}
    for template in subjects.keys() & known.keys():
        new, old = subjects[template], known[template]
        here, there = (torch.tensor([is_hidden(name) for name in names]) for names in (new, old))
        unclear = here[:, None] | there
        if unclear.any():
            distance = apart(torch.stack([*new.values()]), torch.stack([*old.values()]))
            distance[~unclear] = torch.inf
            nearest, place = distance.min(1)
            others = list(old)
            found |= {a: others[i] for a, d, i in zip(new, nearest.tolist(), place.tolist(), strict=True) if d < NEAR}
    return found


def apart(new: Tensor, old: Tensor) -> Tensor:
    """‖a - b‖ / ‖b‖ for all rows a of (p, d) and b of (q, d), (p, q), float64."""
    new, old = new.double(), old.double()
    distance: Tensor = torch.cdist(new, old, compute_mode="use_mm_for_euclid_dist").div_(old.norm(dim=1))
    return distance
