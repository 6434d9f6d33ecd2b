"""Takes the names out of an edit, so that it can be passed on without the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..concepts.concepts import Concept
from ..concepts.names import hidden_name
from ..states.prompts import NULL, Prompt, expand, renamed
from ..states.readings import names_read
from ..states.token_states import TokenStates, gather
from ..states.tokens import hashed
from .edit import Edit


def hide_names(edit: Edit) -> Edit:
    """The same edit with every name replaced by a number: concept 1, anchor 1, preserved 1.

    Notes are left out, since they quote names. The states of the texts stay, and so does what was computed from them:
    whoever has the text encoder can still test whether a guess is in the list.
    """
    return _hidden(edit, _names(edit))


def _names(edit: Edit) -> dict[str, str]:
    """What every name is replaced by."""
    names = {NULL: NULL}
    groups: dict[str, Sequence[str]] = {
        "concept": [concept.text for concept in edit.concepts],
        "anchor": [concept.anchor for concept in edit.concepts],
        "preserved": edit.preserve,
    }
    for kind, held in groups.items():
        fresh = dict.fromkeys(text for text in held if text not in names)
        names |= {text: hidden_name(kind, number) for number, text in enumerate(fresh, 1)}
    return names


def _hidden(edit: Edit, names: Mapping[str, str]) -> Edit:
    concepts = tuple(replace(c, text=names[c.text], anchor=names[c.anchor]) for c in edit.concepts)
    preserve = tuple(names[name] for name in edit.preserve)
    prompts = renamed(edit.concepts, edit.preserve, edit.templates, names)
    states = _renamed(edit, concepts, preserve, prompts)
    states = replace(states, tokens={head: head and hashed(tokens) for head, tokens in states.tokens.items()})
    texts = {new.text: old.text for new, old in prompts}

    def told(figures: Mapping[str, float]) -> dict[str, float]:
        return {new: figures[old] for new, old in texts.items() if old in figures}

    report = edit.report
    figures = {key: told(getattr(report, key)) for key in ("remaining", "kept", "drift")}
    further = {name: _hidden(part, names) for name, part in edit.further.items()}
    report = replace(report, notes=(), **figures)
    return replace(edit, concepts=concepts, preserve=preserve, states=states, report=report, further=further)


def _renamed(
    edit: Edit, concepts: tuple[Concept, ...], preserve: tuple[str, ...], prompts: Sequence[tuple[Prompt, Prompt]]
) -> TokenStates:
    """The states of an edit under other names."""
    if edit.states.whole:
        sources = [(new, edit.states, old) for new, old in prompts]
        held = names_read(preserve, edit.templates)
        states = gather(expand(concepts, edit.templates), held, sources, edit.solver.reads)
        return replace(states, moments=edit.states.moments)
    heads = {new.head: old.head for new, old in prompts}
    last = {new: edit.states.last[old] for new, old in heads.items()}
    tokens = {new: edit.states.tokens[old] for new, old in heads.items() if old in edit.states.tokens}
    return replace(edit.states, last=last, tokens=tokens)
