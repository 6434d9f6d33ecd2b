"""Encodes the texts of a request: text -> concepts -> token states, and what a method reads beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from .concepts.spelling import core
from .errors import ScaPreError, shorten
from .methods import Method, method
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
    """Encodes all texts of a request once; returns the states and the seconds it took."""
    start = time.perf_counter()
    others = {name: further_encoder(encoder, name) for name in request.further}
    states, studied = _encoded(encoder, request.read(both=len(readings(encoder)) > 1), progress)
    further = {name: _further(name, other, request, studied) for name, other in others.items()}
    return replace(states, further=further), time.perf_counter() - start


def _further(name: str, encoder: Encoder, request: Request, studied: Studied) -> Callable[[Progress], TokenStates]:
    """What gives the states of a part. Layers of a language model stay beside the kin that the words have found."""

    def give(progress: Progress) -> TokenStates:
        known = studied if is_layer(name) else None
        states, _ = _encoded(encoder, request.read(both=False), progress, known)
        return replace(states, notes=(), alike={})

    return give


def _encoded(
    encoder: Encoder, request: Request, progress: Progress, known: Studied | None = None
) -> tuple[TokenStates, Studied]:
    solver = method(request.method)
    check_read(readings(encoder), (concept.text for concept in request.concepts.concepts))
    same = _same_tokens(encoder, request, solver)
    states = encode_prompts(encoder, request.pairs(), request.held, progress, solver.reads)
    studied = solver.study(encoder, request.concepts.concepts, request.preserve, request.settings, progress, known)
    told = (*same, *studied.notes)
    return replace(states, moments=studied.moments, notes=told, alike=studied.alike), studied


def _same_tokens(encoder: Encoder, request: Request, solver: Method) -> tuple[str, ...]:
    """What to say of names that a text encoder cannot tell apart.

    Raises:
        ScaPreError: If one of them is erased and another one held, and no encoder of the model's tells them apart.
    """
    names = [concept.text for concept in request.concepts.concepts]
    each = readings(encoder)
    alike = [_twins(one, names, request.preserve) for one in each]
    notes = []
    for (name, other), held in {pair: held for found in alike for pair, held in found.items()}.items():
        everywhere = all((name, other) in found for found in alike)
        if held and everywhere and solver.preserves:
            raise ScaPreError(
                f"preserve: {shorten(name)} has the same tokens as the concept {shorten(other)}, so that one cannot "
                "stay while the other goes. Take one of them out."
            )
        to = "the text encoder" if everywhere else "one of the two text encoders"
        notes.append(
            f"{shorten(name)}, which is preserved, is {shorten(other)} to {to}"
            if held
            else f"{shorten(other)} and {shorten(name)} are the same to {to}"
        )
    return (*notes[:_FEW], *([f"and {len(notes) - _FEW} more"] if len(notes) > _FEW else []))


def _twins(encoder: Encoder, names: Sequence[str], preserve: Sequence[str]) -> dict[tuple[str, str], bool]:
    """Names beside the concept that an encoder reads just so, and whether they are preserved."""
    known: dict[tuple[int, ...], str] = {}
    found = {}

    def read(name: str) -> tuple[int, ...]:
        try:
            return tuple(encoder.tokens(core(name)))
        except ScaPreError:  # it is too long, which is said where it is encoded
            return ()

    for name in names:
        tokens = read(name)
        if tokens and (first := known.setdefault(tokens, name)) != name:
            found[name, first] = False
    for name in preserve:
        if other := known.get(read(name)):
            found[name, other] = True
    return found
