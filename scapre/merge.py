"""Combines edits by solving all their concepts together, from the original weights; changes are never added up.

An edit keeps the states of its texts. So the union of several lists, or a part of one, is solved exactly as if it had
been typed: the same concepts in the same order, settings, seed and weights give the same bits. A method that keeps
moments of whole lists instead adds them up; with the text encoder at hand it reads the new list as if it were typed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from .concepts.concepts import Concept, ConceptList
from .concepts.names import identity, is_hidden
from .concepts.syntax import MAX_NAMES
from .edits.agreement import check_agreement, check_models, tokens_notes_between, without
from .edits.edit import Edit
from .edits.further import with_further
from .edits.twins import NEAR, Part, apart, common_names
from .encode import encode_request
from .errors import ScaPreError, shorten
from .families import Projections
from .methods import Method
from .methods.method import Held
from .methods.payload import Payload
from .methods.settings import declared
from .progress import Progress, silent
from .request import Request
from .solve import Room, enough, solve_edit
from .states.encoder import Encoder
from .states.further import FurtherProjections, is_layer, titles
from .states.prompts import NULL, renamed
from .states.token_states import TokenStates, gather

_SUMMED = (
    "what these edits know was added up, and each may hold names of the others that are near to its own; give the "
    "text encoder, too (clip, or --text-encoder), to solve them as if all names were typed"
)
_ADDED = "these edits were trained apart, and their changes are added up: not the same as training all names together"
_WORSE, _FEW = 0.05, 6


def combine(
    edits: Mapping[str, Edit],
    remove: Sequence[str] = (),
    settings_from: str | None = None,
    notes: tuple[str, ...] = (),
    encoder: Encoder | None = None,
    progress: Progress = silent,
) -> tuple[Request, TokenStates]:
    """What to solve for the union of some edits, or for what is left of it; `solve_edit` does the rest.

    Where edits have a concept in common, the first one's counts.

    Args:
        edits: By the names that messages call them.
        remove: Concepts to leave out.
        settings_from: The edit whose settings, seed and wordings count; None is the first.
        notes: What the host wants the report to say.
        encoder: Reads the texts anew where the edits do not keep what is needed.
        progress: Told of that; may raise to stop.

    Raises:
        ScaPreError: If the edits contradict each other or are for different models, if one of `remove` is in none of
            them, if nothing is left, or if the text encoder is needed and not there.
    """
    check_models(edits)
    lead = settings_from or next(iter(edits))
    if lead not in edits:
        raise ScaPreError(f"settings_from: {lead} is not connected. Choose one of {', '.join(edits)}.")
    held = [Part(label, e.concepts, e.preserve, e.templates, e.states) for label, e in edits.items()]
    parts = without(held, remove)
    names = common_names(parts)
    called = [_renamed(part, known) for part, known in zip(parts, names, strict=True)]
    check_agreement(called)
    concepts, preserve = _concepts(called, edits[lead].templates), _preserve(called)
    request = Request(
        ConceptList(concepts), preserve, edits[lead].settings, edits[lead].seed, edits[lead].templates,
        (*_notes(edits, lead), *notes), edits[lead].method, tuple(edits[lead].further),
    )  # fmt: skip
    solver, missing = edits[lead].solver, _missing(edits, parts, concepts)
    hidden = any(is_hidden(concept.text) for concept in concepts)
    if encoder is not None and (missing or solver.sums) and not hidden and not solver.draws:
        return request, encode_request(encoder, request, progress)[0]
    if missing:
        raise ScaPreError(f"edits: {missing}. {_help(solver, hidden)}.")
    sources = [
        (new, part.states, old)
        for part, known in zip(parts, names, strict=True)
        for new, old in renamed(part.concepts, part.preserve, part.templates, known)
    ]
    states = gather(request.pairs(), request.held, sources, solver.reads)
    if solver.sums and sum(bool(part.concepts) for part in parts) > 1:
        request = replace(request, notes=(*request.notes, _ADDED if solver.trains else _SUMMED))
    brought = [_held(edits[part.label], part, known) for part, known in zip(parts, names, strict=True)]
    wanted = [identity(concept.text) for concept in concepts], [identity(name) for name in preserve]
    return request, replace(states, moments=solver.joined(brought, *wanted))


def _held(edit: Edit, part: Part, names: Mapping[str, str]) -> Held:
    """What an edit brings, of what is left of it, under common names."""
    there = {concept.text: place for place, concept in enumerate(edit.concepts)}
    concepts = {identity(names[concept.text]): there[concept.text] for concept in part.concepts}
    preserve = {identity(names[name]): len(there) + place for place, name in enumerate(edit.preserve)}
    return Held(edit.payload, edit.states.moments, concepts, preserve)


def _now(solver: Method) -> str:
    if solver.trains:
        return "what was learned there is taken as it is"
    return "what was seen there counts here, too" if solver.draws else "here it is solved anew"


def _help(solver: Method, hidden: bool) -> str:
    if solver.trains:
        return "Train again for the names that you want, or put the edits on one after another with Apply Edit"
    if solver.draws:
        return "Make it again, and save it with what Merge Edits needs"
    if hidden:
        return "Names are hidden here, so no text encoder can read them again. Take the file that has the names"
    return "Connect the text encoder (clip), or give its file (--text-encoder), so that the texts can be read again"


def _missing(edits: Mapping[str, Edit], parts: Sequence[Part], concepts: Sequence[Concept]) -> str:
    """What the edits do not keep of what is needed to solve them together; nothing, as a rule."""
    bare = [label for label, edit in edits.items() if not edit.states.whole]
    if bare:
        what = "what was seen while drawing" if next(iter(edits.values())).solver.draws else "the states of its texts"
        return f"{', '.join(bare)} {'was' if len(bare) == 1 else 'were'} saved without {what}"
    if any(is_layer(name) for edit in edits.values() for name in edit.further):
        return f"of the language model's layers no states are kept ({', '.join(edits)}), since they would be many"
    if not next(iter(edits.values())).solver.sums:
        return ""
    cut = [part.label for part in parts if 0 < len(part.concepts) < len(edits[part.label].concepts)]
    if cut:
        return (
            f"{', '.join(cut)} keeps what it knows of its concepts as a whole, and cannot be taken apart without them"
        )
    return "some of them erase the same concept" if sum(len(part.concepts) for part in parts) > len(concepts) else ""


def merge_edits(
    edits: Mapping[str, Edit],
    projections: Projections,
    remove: Sequence[str] = (),
    settings_from: str | None = None,
    *,
    notes: tuple[str, ...] = (),
    encoder: Encoder | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    room: Room = enough,
) -> Edit:
    """One edit of all concepts, solved from the weights of `projections`, which should carry none of the edits.

    The report says where the edits differed in settings, and which were solved from other weights. See `combine` and
    `solve_edit` for arguments and errors.

    Raises:
        ScaPreError: Also if the edits are for another family of models.
    """
    for label, edit in edits.items():
        if edit.family != projections.family:
            raise ScaPreError(
                f"edits: {label} was made for {edit.family} models, and this model is {projections.family}. Load a "
                "model of that family."
            )
    _check_further(edits)
    merged = _merged(edits, projections, remove, settings_from, notes, encoder, device, progress, room)
    parts = {}
    for name in () if merged.further else next(iter(edits.values())).further:  # unless an encoder has read them anew
        its = {label: edit.further[name] for label, edit in edits.items()}
        matrices = FurtherProjections(projections, name)
        parts[name] = _merged(its, matrices, remove, settings_from, (), None, device, progress, room)
    return with_further(merged, parts) if parts else merged


def _check_further(edits: Mapping[str, Edit]) -> None:
    for label, other in pairwise(edits):
        if edits[label].further.keys() == edits[other].further.keys():
            continue
        more, less = sorted((label, other), key=lambda one: -len(edits[one].further))
        what = titles(edits[more].further.keys() - edits[less].further.keys())
        raise ScaPreError(
            f"edits: {more} also erases from {' and '.join(what)}, and {less} does not, so that they cannot be solved "
            "together. Make one of them again, with the other's setting of pooled and its text encoders."
        )


def _merged(
    edits: Mapping[str, Edit], projections: Projections, remove: Sequence[str], settings_from: str | None,
    notes: tuple[str, ...], encoder: Encoder | None, device: torch.device | str, progress: Progress, room: Room,
) -> Edit:  # fmt: skip
    request, states = combine(edits, remove, settings_from, notes, encoder, progress)
    learned = merged_payload(edits, request)
    merged = solve_edit(states, projections, request, device=device, progress=progress, learned=learned, room=room)
    weaker = _weaker(edits, merged) if _SUMMED in request.notes else ()
    apart = {label: edit.difference_from(merged) for label, edit in edits.items()}
    now = _now(merged.solver)
    told = tuple(
        f"{label} had been solved from other weights ({_by(share)}); {now}" for label, share in apart.items() if share
    )
    return replace(merged, report=replace(merged.report, notes=(*merged.report.notes, *weaker, *told)))


def merged_payload(edits: Mapping[str, Edit], request: Request) -> Payload | None:
    """What was learned for the concepts of a union, added up; None where it is solved anew."""
    wanted = {identity(concept.text) for concept in request.concepts.concepts}
    solver = next(iter(edits.values())).solver
    return solver.summed(
        [edit.payload for edit in edits.values() if wanted & {identity(concept.text) for concept in edit.concepts}]
    )


def _weaker(edits: Mapping[str, Edit], merged: Edit) -> tuple[str, ...]:
    """Which concepts answer more as before than in their own edit, since another one's list holds them."""
    own: dict[str, float] = {}
    for edit in edits.values():
        own = {**edit.report.remaining, **own}
    left = merged.report.remaining
    worse = [
        f"{shorten(name)} ({own[name]:.2f} to {left[name]:.2f})"
        for name in left
        if left[name] > own.get(name, 2) + _WORSE
    ]
    more = f" and {len(worse) - _FEW} more" if len(worse) > _FEW else ""
    return (f"less erased than in the edits themselves: {', '.join(worse[:_FEW])}{more}",) if worse else ()


def _by(share: float) -> str:
    return f"they differ by about {share:.2%}" if math.isfinite(share) else "of another size"


def _renamed(part: Part, names: Mapping[str, str]) -> Part:
    concepts = tuple(replace(c, text=names[c.text], anchor=names[c.anchor]) for c in part.concepts)
    return replace(part, concepts=concepts, preserve=tuple(names[name] for name in part.preserve))


def _concepts(parts: Iterable[Part], templates: tuple[str, ...]) -> tuple[Concept, ...]:
    """All concepts, each once; those that were put in other words than the list is stay in theirs."""
    found: dict[str, Concept] = {}
    for part in parts:
        for concept in part.concepts:
            own = concept.templates or part.templates
            found.setdefault(identity(concept.text), replace(concept, templates=() if own == templates else own))
    if len(found) > MAX_NAMES:
        raise ScaPreError(
            f"edits: together they erase {len(found):,} concepts, more than one edit can hold ({MAX_NAMES:,}). Leave "
            "one of them out, or take concepts out with remove."
        )
    return tuple(found.values())


def _preserve(parts: Iterable[Part]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for part in parts:
        for name in part.preserve:
            found.setdefault(identity(name), name)
    return tuple(found.values())


def _taken(solver: Method, lead: str) -> str:
    if solver.trains:
        return "what it had learned stays"
    if solver.draws:
        return f"what it had seen stays, and of {lead}'s only agnostic_ratio counts"
    return f"those of {lead} were taken"


def _notes(edits: Mapping[str, Edit], lead: str) -> tuple[str, ...]:
    """Says whose settings were taken, and in what the others' differed."""
    first, notes = edits[lead], []
    for label, edit in edits.items():
        names = [setting.name for setting in declared(type(first.settings))]
        other = [name for name in names if getattr(edit.settings, name) != getattr(first.settings, name)]
        other += ["seed"] if edit.seed != first.seed else []
        if other:
            taken = _taken(first.solver, lead)
            notes.append(f"{label} had been solved with other settings ({', '.join(other)}); {taken}")
        if not (edit.states.whole and first.states.whole):
            continue
        far = apart(edit.states.of(NULL).reshape(1, -1), first.states.of(NULL).reshape(1, -1)).item()
        if far > NEAR:
            notes.append(f"{label} was encoded by another text encoder than {lead} (their states differ by {far:.1%})")
        notes += tokens_notes_between(label, edit, lead, first)
        if edit.templates != first.templates:
            notes.append(f"the concepts of {label} stay in the wordings they were encoded in")
    return tuple(notes)
