"""Computes an edit: text -> concepts -> token states -> statistics -> solve -> Edit."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from .concepts.concepts import ConceptList
from .edits.edit import Edit
from .edits.fingerprint import fingerprint, sample, sketch
from .errors import ScaPreError, shorten
from .methods import method
from .methods.scapre.settings import Settings
from .methods.scapre.statistics import build_probe, build_shared, fit_rows
from .progress import Progress, silent
from .report import ResponseMeter
from .states.prompts import TEMPLATES, Pair, expand
from .states.token_states import Encoder, TokenStates, encode_prompts

log = logging.getLogger("scapre")


class Projections(Protocol):
    """The text projections of a model, read one at a time; hosts provide it."""

    @property
    def family(self) -> str:
        """Title of the model's family."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Names of the projections, in the model's order."""
        ...

    def read(self, name: str, device: torch.device) -> Tensor:
        """The current weight of one projection, (n, d), on a device, in its own or a wider float dtype."""
        ...


@dataclass(frozen=True)
class Request:
    """What to erase and how.

    Attributes:
        concepts: Parsed concepts.
        preserve: Names to report on.
        settings: Numbers of the method.
        seed: Of the noise.
        templates: Wordings that every concept and anchor is put in.
        notes: What the host wants the report to say.
    """

    concepts: ConceptList
    preserve: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)
    seed: int = 0
    templates: Sequence[str] = tuple(TEMPLATES["none"])
    notes: tuple[str, ...] = ()

    def pairs(self) -> tuple[Pair, ...]:
        """Concepts and anchors as prompts; those that share an anchor lie side by side."""
        return expand(self.concepts.concepts, self.templates)


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
    states = encode_prompts(encoder, request.pairs(), request.preserve, progress)
    return states, time.perf_counter() - start


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

    Raises:
        ScaPreError: If the encoder's width is not the projections', or a weight or result is not finite.
    """
    device = torch.device(device)
    watch = Stopwatch(device)
    pairs = request.pairs()
    with watch("statistics"):
        moved = replace(states, states=states.states.to(device))
        probe = build_probe(moved, pairs, request.settings, request.seed)
        meter = ResponseMeter(moved, pairs, request.preserve)
        shared = build_shared(moved, pairs, request.settings, dtype, progress)
        del moved
        meter.rotate(shared["basis"])
    solve = method(request.settings.variant)
    matrices: dict[str, Mapping[str, Tensor]] = {}
    samples: dict[str, Tensor] = {}
    for index, name in enumerate(projections.names):
        progress("solve", index, len(projections.names))
        with watch("read"):
            weight = _checked(projections.read(name, device), name, states.width)
            samples[name] = sample(weight)
        with watch("gate and retention"):
            rows = fit_rows(probe, weight, request.settings)
        with watch("solve"):
            weight = weight.to(dtype)
            change = solve(shared, rows, weight, request.settings)
        with watch("report"):
            meter.add(name, weight, change)
        matrices[name] = {key: value.cpu() for key, value in rows.items()}
    progress("solve", len(projections.names), len(projections.names))
    report = meter.report({"text encoding": encode_seconds} | watch.seconds, _notes(request))
    _check_result(report.change)
    edit = Edit(
        request.settings,
        request.concepts.concepts,
        request.preserve,
        request.seed,
        projections.family,
        fingerprint(samples.items()),
        {key: value.cpu() for key, value in shared.items()},
        matrices,
        report,
        tuple(request.templates),
        states,
        {name: sketch(values) for name, values in samples.items()},
    )
    log.info("erased %d concepts in %d matrices, %.2f s", len(edit.concepts), len(matrices), report.total_seconds)
    return edit


def _notes(request: Request) -> tuple[str, ...]:
    kept = ("preserved names are measured here, but do not yet change the edit",) if request.preserve else ()
    return (*request.concepts.notes, *request.notes, *kept)


def _checked(weight: Tensor, name: str, width: int) -> Tensor:
    if weight.shape[1] != width:
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
