"""Computes an edit: text -> concepts -> token states -> statistics -> solve -> Edit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from .concepts.concepts import ConceptList
from .concepts.spelling import core
from .edits.edit import Edit, without_states
from .edits.figures import ChangeMeter, Report, ResponseMeter
from .edits.fingerprint import fingerprint, sample, sketch
from .errors import ScaPreError, shorten, some
from .families import Projections, having
from .methods import FIRST, METHODS, Method, Problem, method
from .methods.method import Studied
from .methods.payload import Payload, Tensors
from .methods.settings import MethodSettings
from .progress import Progress, silent
from .states.encoder import Encoder
from .states.further import POOLED, FurtherProjections, further_encoder, is_layer
from .states.prompts import TEMPLATES, Pair, expand
from .states.readings import names_read, of_both, once, readings, twice
from .states.token_states import TokenStates, encode_prompts
from .states.tokens import check_read

log = logging.getLogger("scapre")

_HARDLY = 0.9  # of the way to the anchor and of the old answer
_FAR = 1.5  # of the old answer
_FEW = 6


@dataclass(frozen=True)
class Request:
    """What to erase and how.

    Attributes:
        concepts: Parsed concepts.
        preserve: Names that should stay.
        settings: Numbers of the method.
        seed: Of the noise.
        templates: Wordings that every concept and anchor is put in; a method with prompts of its own takes none.
        notes: What the host wants the report to say.
        method: Name of the method in `METHODS`.
        further: Parts of the model that names are also erased from, see `states.further`.
    """

    concepts: ConceptList
    preserve: tuple[str, ...] = ()
    settings: MethodSettings = field(default_factory=METHODS[FIRST].settings)
    seed: int = 0
    templates: Sequence[str] = tuple(TEMPLATES["none"])
    notes: tuple[str, ...] = ()
    method: str = FIRST
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Leaves out wordings that the method does not take."""
        if method(self.method).sums:
            bare = tuple(TEMPLATES["none"])
            object.__setattr__(self, "templates", twice(bare) if of_both(self.templates) else bare)

    def pairs(self) -> tuple[Pair, ...]:
        """Concepts and anchors as prompts; those that share an anchor lie side by side."""
        return expand(self.concepts.concepts, self.templates)

    @property
    def held(self) -> tuple[str, ...]:
        """Preserved names as texts."""
        return names_read(self.preserve, self.templates)

    def read(self, *, both: bool) -> Request:
        """The same with the wordings of one text encoder or of two; what reads no text needs but one."""
        both = both and method(self.method).reads_text
        return replace(self, templates=twice(self.templates) if both else once(self.templates))


class Stopwatch:
    """Seconds spent by stage."""

    def __init__(self, device: torch.device) -> None:
        """Starts with no stage; a GPU is waited for at the end of each."""
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Adds the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


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


@torch.no_grad()
def solve_edit(
    states: TokenStates,
    projections: Projections,
    request: Request,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress = silent,
    encode_seconds: float = 0.0,
    learned: Payload | None = None,
) -> Edit:
    """Computes an edit; the model is only read.

    Args:
        states: From `encode_request`.
        projections: The model's text projections.
        request: What to erase and how.
        device: Where to compute; it must have float64.
        dtype: Of the rows' arithmetic; statistics are float64 in any case.
        progress: Told each step; may raise to stop.
        encode_seconds: Time that encoding took, for the report.
        learned: What training has found, for a method that trains.

    Raises:
        ScaPreError: If the encoder's width is not the projections', or a weight or result is not finite.
    """
    edit = _solved(states, projections, request, torch.device(device), dtype, progress, encode_seconds, learned)
    bare, parts = replace(request, notes=()), {}
    for place, (name, read) in enumerate(states.further.items()):
        told = partial(_one_of, progress, place, len(states.further)) if is_layer(name) else progress
        start = time.perf_counter()
        its, matrices = read(told), FurtherProjections(projections, name)
        spent = time.perf_counter() - start
        parts[name] = _solved(its, matrices, bare, torch.device(device), dtype, told, spent, None)
    return with_further(edit, parts)


def _one_of(progress: Progress, place: int, count: int, stage: str, done: int, total: int) -> None:
    """Tells of one of many parts, whose own stages are short."""
    progress("layers", place, count)


def with_further(edit: Edit, parts: Mapping[str, Edit]) -> Edit:
    """An edit with its parts for matrices that read something else of a text, and what to say of them.

    The states of layers are left out: of all layers together they would be many times what they belong to.
    """
    kept = {name: without_states(part) if is_layer(name) else part for name, part in parts.items()}
    groups = {
        "pooled vector": [part for name, part in parts.items() if name == POOLED],
        "layers of the language model": [part for name, part in parts.items() if is_layer(name)],
    }
    there = {title: some for title, some in groups.items() if some}
    seconds = {title: sum(part.report.total_seconds for part in some) for title, some in there.items()}
    notes = [f"{title}: {_erased_there(some)}" for title, some in there.items()]
    report = replace(edit.report, seconds={**edit.report.seconds, **seconds}, notes=(*edit.report.notes, *notes))
    return replace(edit, further=kept, report=report)


def _erased_there(parts: Sequence[Edit]) -> str:
    left = max(abs(share) for part in parts for share in part.report.kept.values())
    moved = max(share for part in parts for share in part.report.drift.values())
    count = sum(len(part.shapes) for part in parts)
    return (
        f"erased there, too ({count} matrices); at most {left:.0%} of a name's answer is left, and what stays moves by "
        f"at most {moved:.0%}"
    )


def _solved(
    states: TokenStates, projections: Projections, request: Request, device: torch.device, dtype: torch.dtype,
    progress: Progress, encode_seconds: float, learned: Payload | None,
) -> Edit:  # fmt: skip
    """An edit of what reads the states: see `solve_edit`."""
    request = request.read(both=states.twice)
    watch, solver = Stopwatch(device), method(request.method)
    names = having(projections, solver.edits(request.settings))
    _check_names(names, projections, request)
    with watch("statistics"):
        moved = replace(states, states=states.states.to(device))
        problem = Problem(
            moved, request.pairs(), request.held, request.settings, request.seed, dtype, progress, learned
        )
        found = solver.anchors(moved.moments, request.concepts.concepts)
        meter = (
            ResponseMeter(moved, problem.pairs, problem.preserve, dtype, found) if solver.reads_text else ChangeMeter()
        )
        fit = solver.fit(problem, projections)
        del moved, problem
    matrices: dict[str, Tensors] = {}
    samples: dict[str, Tensor] = {}
    shapes: dict[str, tuple[int, int]] = {}
    for index, name in enumerate(names):
        progress("solve", index, len(names))
        with watch("read"):
            weight = _checked(projections.read(name, device), name, states.width if solver.reads_text else None)
            samples[name], shapes[name] = sample(weight), (weight.shape[0], weight.shape[1])
        with watch(fit.stage):
            own = fit.own(name, weight)
        with watch("solve"):
            change = solver.delta(fit.shared, own, weight.to(dtype), request.settings)
        with watch("report"):
            meter.add(name, change)
        matrices[name] = {key: value.cpu() for key, value in own.items()}
    progress("solve", len(names), len(names))
    report = meter.report({"text encoding": encode_seconds} | watch.seconds, (*_notes(request), *states.notes))
    _check_result(report.change)
    payload = Payload({key: value.cpu() for key, value in fit.shared.items()}, matrices)
    moments = {key: states.moments[key] for key in solver.moments}
    remarks = solver.remarks(payload, moments, shapes, [concept.text for concept in request.concepts.concepts])
    report = replace(report, notes=(*report.notes, *_hardly(report, solver, request.preserve), *remarks))
    edit = Edit(
        method=request.method,
        settings=request.settings,
        concepts=request.concepts.concepts,
        preserve=request.preserve,
        seed=request.seed,
        family=projections.family,
        fingerprint=fingerprint(samples.items()),
        payload=payload,
        shapes=shapes,
        report=report,
        templates=tuple(request.templates),
        states=replace(states, moments=moments, notes=(), alike={}, further={}),
        sketch={name: sketch(values) for name, values in samples.items()},
    )
    log.info("erased %d concepts in %d matrices, %.2f s", len(edit.concepts), len(matrices), report.total_seconds)
    return edit


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


def _check_names(names: Sequence[str], projections: Projections, request: Request) -> None:
    if not names:
        roles = ", ".join(sorted(role.value for role in method(request.method).edits(request.settings)))
        raise ScaPreError(
            f"method: {method(request.method).title} edits {roles}, and this {projections.family} model has none. "
            "Choose another method."
        )


def _notes(request: Request) -> tuple[str, ...]:
    measured = request.preserve and not method(request.method).preserves
    kept = ("preserved names are measured here, but do not yet change the edit",) if measured else ()
    return (*request.concepts.notes, *request.notes, *kept)


def _hardly(report: Report, solver: Method, preserve: Sequence[str]) -> tuple[str, ...]:
    """Says which concepts answer nearly as before where what stays can be the reason, and which answer too loud."""
    notes = []
    far = [name for name, kept in report.kept.items() if abs(kept) > _FAR]
    if far:
        notes.append(
            f"far from the model: the answers to {some(far, _FEW)} are larger than before. Take a smaller reach or "
            "fewer rounds, or name more under preserve"
        )
    near = {name for name, left in report.remaining.items() if min(left, report.kept[name]) > _HARDLY}
    same = [name for name in report.remaining if name in near and name not in far]
    if same and solver.preserves:
        why = (
            "What stays is too close to it or too much; take names out of preserve"
            if preserve
            else "What the settings keep weighs too much, or the name says too little"
        )
        notes.append(f"hardly erased: {some(same, _FEW)}. {why}")
    return tuple(notes)


def _checked(weight: Tensor, name: str, width: int | None) -> Tensor:
    if width not in (None, weight.shape[1]):
        raise ScaPreError(
            f"clip: the text encoder gives states of width {width}, but this model's {name} takes {weight.shape[1]}. "
            "Connect the CLIP that belongs to the model, such as the CLIP output of the same checkpoint loader."
        )
    if not all(bound.isfinite() for bound in weight.aminmax()):
        raise ScaPreError(
            f"model: {name} contains NaN or infinity, so it cannot be edited. The checkpoint or a LoRA before "
            "this node is damaged; load another file."
        )
    return weight


def _check_result(change: Mapping[str, float]) -> None:
    broken = [name for name, value in change.items() if not value < float("inf")]
    if broken:
        raise ScaPreError(
            f"settings: the edit of {shorten(broken[0])} is not finite. Raise ridge or lower erase_scale and strength."
        )
