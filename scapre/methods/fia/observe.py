"""Watches a model draw, and finds the weights that answer each name. Nothing that was seen is kept but sums.

All pictures go one step at a time: the base prompts first, which every name is compared with, then name after name. So
base prompts are drawn once for any number of names, and sums over prompts are there for one step only. Where even those
find no room, the layers are watched in several rounds: each draws all pictures again, and has the sums of its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from ...errors import ScaPreError, shorten
from ...families import Projections
from ...progress import Progress, silent
from ..payload import Tensors
from . import lists, saliency
from .prompts import Plan
from .saliency import Contrast, Moments
from .selection import ReleasedSensitivity, Sensitivity, select

Watch = Callable[[str, Tensor, Tensor], None]
"""Told of a matrix, by name, what entered it, (pictures, positions, d), and what it answered, (…, n)."""

_MEASURES = {
    "exact": (saliency.exact, Sensitivity),
    "released": (saliency.released, ReleasedSensitivity),
}
STAGE = "drawing"


class Trajectories(Protocol):
    """Pictures on their way; hosts provide them."""

    @property
    def batch(self) -> int:
        """How many pictures are drawn together."""
        ...

    def begin(self, texts: Sequence[str], names: Sequence[str]) -> None:
        """Sets out from noise for every prompt, from the same noise for all, to look into some matrices' layers."""
        ...

    def advance(self, places: Sequence[int], step: int, watch: Watch) -> None:
        """Takes the pictures at some places one step on, and shows what their feed-forward layers do meanwhile."""
        ...


@dataclass
class _Run:
    draw: Trajectories
    weights: Projections
    plan: Plan
    settings: Any
    dtype: torch.dtype
    progress: Progress
    rounds: int
    names: Sequence[str] = ()
    done: int = 0
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.measure, self.kind = _MEASURES[self.settings.saliency]

    def round(self, names: Sequence[str]) -> dict[str, list[lists.Lists]]:
        """All steps of all pictures, some layers watched: Q of every name in each."""
        self.names, share, steps = names, self.settings.persistence_ratio, self.settings.recorded
        sums = [{name: self.kind(share, steps) for name in names} for _ in self.plan.named]
        self.draw.begin(self.plan.texts, names)
        for step in range(steps):
            self.step(step, sums)
        self.progress(STAGE, self.done, self.total)
        return self.selected(sums)

    def step(self, step: int, sums: Sequence[Mapping[str, Sensitivity]]) -> None:
        """One step of all pictures; what the names make of it is added to their sums."""
        base = {name: Moments() for name in self.names}
        self.seen.clear()
        self._watch(self.plan.base, step, base)
        self._check_seen()
        bounds = {name: found.bound() for name, found in base.items()}
        for places, sensitivity in zip(self.plan.named, sums, strict=True):
            last = places is self.plan.named[-1]
            found = {name: Contrast(bound, len(places), last=last) for name, bound in bounds.items()}
            self._watch(places, step, found)
            for name in self.names:
                self.progress(STAGE, self.done, self.total)
                contrast = found.pop(name).value()
                sensitivity[name].add(contrast, self._weight(name, contrast.device))

    def _weight(self, name: str, device: torch.device) -> Tensor:
        return self.weights.read(name, device).to(self.dtype)

    def selected(self, sums: Sequence[dict[str, Sensitivity]]) -> dict[str, list[lists.Lists]]:
        """Q of every name in each layer; their sums are given up."""
        found: dict[str, list[lists.Lists]] = {}
        for number, name in enumerate(self.names):
            weight = self._weight(name, torch.device("cpu"))
            found[name] = []
            for sensitivity in sums:
                self._tell_selection(number)
                found[name].append(lists.pack(select(sensitivity.pop(name).value(weight), self.settings.neuron_ratio)))
        return found

    def _tell_selection(self, number: int) -> None:
        """A stage of its own once all is drawn: between rounds the bar stays where it is."""
        if self.done == self.total:
            self.progress("selection", number, len(self.names))
        else:
            self.progress(STAGE, self.done, self.total)

    @property
    def total(self) -> int:
        """Pictures times steps."""
        return len(self.plan.texts) * int(self.settings.recorded) * self.rounds

    def _watch(self, places: Sequence[int], step: int, sums: Mapping[str, Moments | Contrast]) -> None:
        for first in range(0, len(places), self.draw.batch):
            some = places[first : first + self.draw.batch]
            self.progress(STAGE, self.done, self.total)
            self.draw.advance(some, step, partial(self._add, sums))
            self.done += len(some)

    def _add(self, sums: Mapping[str, Moments | Contrast], name: str, inputs: Tensor, outputs: Tensor) -> None:
        self.seen.add(name)
        for entered, answered in zip(inputs, outputs, strict=True):
            self.progress(STAGE, self.done, self.total)
            found = self.measure(entered.to(self.dtype).flatten(0, -2), answered.to(self.dtype).flatten(0, -2))
            if not found.amax().isfinite():  # it is nowhere below zero, and the greatest of NaN is NaN
                raise ScaPreError(
                    f"model: it gave NaN or infinity in {shorten(name)} or before it while it was drawing, so that "
                    "neurons cannot be told apart. Load the model in another precision (bf16 or fp32), or another file."
                )
            sums[name].add(found)

    def _check_seen(self) -> None:
        missing = [name for name in self.names if name not in self.seen]
        if missing:
            raise ScaPreError(
                f"model: {len(missing)} of {len(self.names)} feed-forward layers did nothing that can be watched, such "
                f"as {shorten(missing[0])}. Take away what compiles or replaces the model (torch.compile, TensorRT)."
            )


@torch.no_grad()
def observe(
    draw: Trajectories,
    weights: Projections,
    names: tuple[str, ...],
    plan: Plan,
    settings: Any,
    *,
    dtype: torch.dtype = torch.float32,
    rounds: int = 1,
    progress: Progress = silent,
) -> Tensors:
    """Q of every name, as moments of an edit: see `FIA.moments`. They are the same in any number of rounds.

    Args:
        draw: Draws with the model.
        weights: Of the same model.
        names: Of the matrices to watch.
        plan: What to draw.
        settings: Of FIA.
        dtype: Of the arithmetic.
        rounds: How often to draw, watching other layers each time; at most a round for each layer.
        progress: Told each picture; may raise to stop.

    Raises:
        ScaPreError: If the model gives numbers that are not finite, or layers cannot be watched.
    """
    rounds = min(rounds, len(names))
    run = _Run(draw, weights, plan, settings, dtype, progress, rounds)
    found: dict[str, list[lists.Lists]] = {}
    for first in range(rounds):
        # Every so manieth: layers next to each other are of like sizes, so that rounds come out alike.
        found |= run.round(names[first::rounds])
    of_names = list(zip(*(found[name] for name in names), strict=True))
    return {
        "counts": torch.stack([torch.cat([counts for counts, _ in one]) for one in of_names]),
        "columns": torch.cat([columns for one in of_names for _, columns in one]),
        "heights": torch.tensor([len(found[name][0][0]) for name in names], dtype=torch.int32),
    }
