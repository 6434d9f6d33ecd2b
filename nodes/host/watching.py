"""Watches a MODEL draw for FIA, with what memory there is: where sums are kept, and in how many rounds."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management as management
import torch

from ...scapre.errors import ScaPreError
from ...scapre.methods.fia.observe import observe
from ...scapre.methods.fia.prompts import Plan
from ...scapre.methods.payload import Tensors
from ...scapre.progress import Progress
from .device import raise_unless_out_of_memory
from .projections import HostProjections
from .sampling import Sampling
from .trajectories import SHARE, HostTrajectories, fitting_batch

log = logging.getLogger("scapre")


@dataclass(frozen=True)
class Seen:
    """What was seen while drawing.

    Attributes:
        moments: Q of every name, as an edit keeps it.
        seconds: Drawing took.
        notes: What the report should say of it.
    """

    moments: Tensors
    seconds: float
    notes: tuple[str, ...]


def watch(
    model: Any,
    clip: Any,
    sampling: Sampling,
    drawn: Plan,
    projections: HostProjections,
    watched: tuple[str, ...],
    settings: Any,
    asked: int,
    progress: Progress,
) -> Seen:
    """Draws with as many pictures at once as memory holds: fewer each time it does not, and at last sums on the CPU.

    Args:
        model: The MODEL that draws.
        clip: Its CLIP.
        sampling: Of the pictures.
        drawn: The prompts.
        projections: Of the model.
        watched: The matrices whose layers are looked into.
        settings: Of FIA.
        asked: How many rounds the user wants.
        progress: Told each picture; may raise to stop.

    Raises:
        ScaPreError: If memory holds the sums of no layer, or what `observe` raises.
    """
    batch, warned = fitting_batch(model, sampling, settings.pairs), False
    shapes = projections.shapes(watched)
    needed = (shapes, len(drawn.named), settings.saliency)
    device, rounds = room_for_sums(model, *needed, min(asked, len(shapes)))
    notes = _short(rounds, asked)
    while True:
        began = time.perf_counter()
        draw = HostTrajectories(model, clip, sampling, watched, batch, device)
        try:
            found = observe(draw, projections, watched, drawn, settings, rounds=rounds, progress=progress)
            return Seen(found, time.perf_counter() - began, notes)
        except Exception as error:
            raise_unless_out_of_memory(error)
            if batch == 1 and device is not None:
                raise
        management.soft_empty_cache()
        if batch == 1:
            device = torch.device("cpu")
            _, rounds = room_for_sums(model, *needed, rounds, here=False)
            notes = _short(rounds, asked)
        batch = max(1, batch // 2)
        if not warned:
            log.warning("not enough memory to draw as many pictures at once; drawing fewer, and then on the CPU")
        warned = True


def _short(rounds: int, asked: int) -> tuple[str, ...]:
    """Says where there are more rounds than were asked for."""
    if rounds <= asked:
        return ()
    told = (
        f"memory is short: all is drawn {rounds} times, and some of the layers are watched each time; the edit is the "
        "same"
    )
    log.warning(told)
    return (told,)


def room_for_sums(
    model: Any, shapes: Mapping[str, Sequence[int]], names: int, saliency: str, rounds: int, *, here: bool = True
) -> tuple[torch.device | None, int]:
    """Where sums over prompts find room, and in how many rounds: None is where the model draws, and else the CPU.

    Eq. 1 needs two numbers of 4 bytes for every weight, and one more for each name; as released it needs next to none.
    A round needs those of the layers it watches.

    Args:
        model: The MODEL.
        shapes: Of what is watched.
        names: That are drawn.
        saliency: Which form of it.
        rounds: At least; more where memory is short.
        here: Whether they may be where the model draws.

    Raises:
        ScaPreError: If not even those of a single layer find room.
    """
    if saliency != "exact":
        return None, rounds
    sizes = [4 * rows * columns * (2 + names) for rows, columns in shapes.values()]
    if here and _most(sizes, rounds) <= SHARE * management.get_free_memory(model.load_device):
        return None, rounds
    cpu = torch.device("cpu")
    free = management.get_free_memory(cpu)
    fitting = next((count for count in range(rounds, len(sizes) + 1) if _most(sizes, count) <= free), 0)
    if not fitting:
        raise ScaPreError(
            f"concepts: {names} names, with those to preserve, need {max(sizes) / 1e9:.1f} GB of memory for "
            f"the largest layer of this model, and {free / 1e9:.1f} GB are free. Take fewer at once and put the edits "
            "together with Merge Edits, or set saliency to released, which needs hardly any."
        )
    return cpu, fitting


def _most(sizes: Sequence[int], rounds: int) -> int:
    """What the largest of so many rounds needs."""
    return max(sum(sizes[first::rounds]) for first in range(rounds))
