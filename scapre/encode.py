"""Encodes the texts of a request: text -> concepts -> token states, and what a method reads beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from .concepts.concepts import Concept
from .concepts.spelling import core
from .errors import ScaPreError, shorten, some
from .methods import method
from .methods.method import Studied
from .progress import Progress, silent
from .request import Request
from .states.encoder import Encoder
from .states.further import further_encoder, is_layer
from .states.readings import readings
from .states.token_states import TokenStates, encode_prompts
from .states.tokens import check_read

_FEW = 6


def encode_request(encoder: Encoder, request: Request, progress: Progress = silent) -> tuple[TokenStates, float]:
    """Encodes all texts of a request once; returns the states and the seconds it took.

    Raises:
        ScaPreError: For names that no text encoder of the model reads, that do not fit one, or of which one goes
            and another one stays that are the same to all; and if a part of the model cannot be read for.
    """
    start = time.perf_counter()
    others = {name: further_encoder(encoder, name) for name in request.further}
    deep = next((other for name, other in others.items() if is_layer(name)), None)
    each = (*readings(encoder), *([deep] if deep else []))  # all layers cut a text alike
    check_read(each, (concept.text for concept in request.concepts.concepts))
    notes = _same_tokens(each, request)
    heard = _heard(deep, request) if deep else request.concepts.concepts
    if len(heard) < len(request.concepts.concepts):
        there = set(heard)
        lost = [c.text for c in request.concepts.concepts if c not in there]
        notes = (*notes, f"the language model reads nothing of {some(lost, _FEW)}, so nothing is erased in its layers")
    states, studied = _encoded(encoder, request.read(both=len(readings(encoder)) > 1), progress)
    further = {
        name: _further(name, other, request, studied, heard)
        for name, other in others.items()
        if heard or not is_layer(name)
    }
    states = replace(states, notes=(*notes, *states.notes), further=further)
    return states, time.perf_counter() - start


def _heard(deep: Encoder, request: Request) -> list[Concept]:
    """The concepts of which a language model reads something.

    Raises:
        ScaPreError: If a name has too many tokens for it.
    """
    concepts = request.concepts.concepts
    try:
        for name in (*request.preserve, *(concept.anchor for concept in concepts)):
            deep.tokens(name)
        return [concept for concept in concepts if deep.tokens(concept.text)]
    except ScaPreError as error:
        raise ScaPreError(f"{error} It is the language model, whose layers are read, that cuts it so.") from None


def _further(
    name: str, encoder: Encoder, request: Request, studied: Studied, heard: Sequence[Concept]
) -> Callable[[Progress], TokenStates]:
    """What gives the states of a part. Layers of a language model stay beside the kin that the words have found."""
    if not is_layer(name):
        return lambda progress: _silent(_encoded(encoder, request.read(both=False), progress))
    own, there = request.only(heard), set(heard)
    kin = [one for c, one in zip(request.concepts.concepts, studied.kin, strict=False) if c in there]
    known = replace(studied, kin=kin)
    return lambda progress: _silent(_encoded(encoder, own.read(both=False), progress, known))


def _silent(found: tuple[TokenStates, Studied]) -> TokenStates:
    return replace(found[0], notes=(), alike={})


def _encoded(
    encoder: Encoder, request: Request, progress: Progress, known: Studied | None = None
) -> tuple[TokenStates, Studied]:
    solver = method(request.method)
    states = encode_prompts(encoder, request.pairs(), request.held, progress, solver.reads)
    studied = solver.study(encoder, request.concepts.concepts, request.preserve, request.settings, progress, known)
    return replace(states, moments=studied.moments, notes=studied.notes, alike=studied.alike), studied


def _same_tokens(each: Sequence[Encoder], request: Request) -> tuple[str, ...]:
    """What to say of names that a text encoder cannot tell apart.

    Raises:
        ScaPreError: If one of them is erased and another one held, and no encoder of the model's tells them apart.
    """
    names, solver = [concept.text for concept in request.concepts.concepts], method(request.method)
    alike = [_twins(one, names, request.preserve) for one in each]
    notes = []
    for (name, other), held in {pair: held for found in alike for pair, held in found.items()}.items():
        everywhere = all((name, other) in found for found in alike)
        if held and everywhere and solver.preserves:
            raise ScaPreError(
                f"preserve: {shorten(name)} has the same tokens as the concept {shorten(other)}, so that one cannot "
                "stay while the other goes. Take one of them out."
            )
        to = "the text encoder" if everywhere else "one of the model's text encoders"
        notes.append(
            f"{shorten(name)}, which is preserved, is {shorten(other)} to {to}"
            if held
            else f"{shorten(other)} and {shorten(name)} are the same to {to}"
        )
    nothing = [c.text for c in request.concepts.concepts if _same(each, c.text, c.anchor)]
    if nothing:
        notes.append(f"{some(nothing, _FEW)} and its anchor are the same to the text encoder, so nothing is erased")
    return (*notes[:_FEW], *([f"and {len(notes) - _FEW} more"] if len(notes) > _FEW else []))


def _twins(encoder: Encoder, names: Sequence[str], preserve: Sequence[str]) -> dict[tuple[str, str], bool]:
    """Names beside the concept that an encoder reads just so, and whether they are preserved."""
    known: dict[tuple[int, ...], str] = {}
    found = {}

    for name in names:
        tokens = _read(encoder, name)
        if tokens and (first := known.setdefault(tokens, name)) != name:
            found[name, first] = False
    for name in preserve:
        if other := known.get(_read(encoder, name)):
            found[name, other] = True
    return found


def _same(each: Sequence[Encoder], name: str, other: str) -> bool:
    """Whether all encoders that read something of a name read another one just so."""
    pairs = [(_read(encoder, name), _read(encoder, other)) for encoder in each]
    found = [(mine, its) for mine, its in pairs if mine]
    return bool(found) and all(mine == its for mine, its in found)


def _read(encoder: Encoder, name: str) -> tuple[int, ...]:
    try:
        return tuple(encoder.tokens(core(name)))
    except ScaPreError:  # it is too long, which is said where it is encoded
        return ()
