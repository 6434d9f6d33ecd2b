"""Computes an edit: text -> concepts -> token states -> statistics -> solve -> Edit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from .edits.edit import Edit
from .edits.figures import ChangeMeter, Report, ResponseMeter
from .edits.fingerprint import fingerprint, sample, sketch
from .edits.further import with_further
from .errors import ScaPreError, shorten, some
from .families import Projections, having
from .methods import Method, Problem, method
from .methods.payload import Payload, Tensors
from .progress import Progress, silent
from .request import Request
from .states.further import FurtherProjections, is_layer
from .states.token_states import TokenStates

log = logging.getLogger("scapre")

_HARDLY = 0.9  # of the way to the anchor and of the old answer
_FAR = 1.5  # of the old answer
_FEW = 6

Room = Callable[[int], None]
"""What makes so many bytes free where an edit is computed."""


def enough(needed: int) -> None:
    """Makes no room."""


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
    room: Room = enough,
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
        room: Told how many bytes the device should have free, before each part of the model is solved.

    Raises:
        ScaPreError: If the encoder's width is not the projections', or a weight or result is not finite.
    """
    room(_bytes(states))
    edit = _solved(states, projections, request, torch.device(device), dtype, progress, encode_seconds, learned)
    parts = {}
    for place, (name, read) in enumerate(states.further.items()):
        told = partial(_one_of, progress, place, len(states.further)) if is_layer(name) else progress
        start = time.perf_counter()
        its, matrices = read(told), FurtherProjections(projections, name)
        spent = time.perf_counter() - start
        room(_bytes(its))
        own = request.read(both=False).within(its.last)
        parts[name] = _solved(its, matrices, replace(own, notes=()), torch.device(device), dtype, told, spent, None)
    return with_further(edit, parts)


def _bytes(states: TokenStates) -> int:
    """What a solve takes on its device beside a weight: states, and a few matrices of their width in float64."""
    return 3 * states.states.nbytes + 64 * states.width**2


def _one_of(progress: Progress, place: int, count: int, stage: str, done: int, total: int) -> None:
    """Tells of one of many parts, whose own stages are short."""
    progress("layers", place, count)


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
