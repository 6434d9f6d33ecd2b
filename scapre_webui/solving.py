"""Edits for what the panel says, each solved once: a grid, a batch or a second pass asks again and again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ..scapre.concepts.alike import remember
from ..scapre.edits.edit import Edit
from ..scapre.encode import encode_request
from ..scapre.errors import ScaPreError, shorten
from ..scapre.families import having
from ..scapre.progress import Progress
from ..scapre.report.data import report_data
from ..scapre.report.markdown import render
from ..scapre.request import Request
from ..scapre.solve import solve_edit
from ..scapre.states.further import titles
from . import places
from .choices import Choices
from .hosts.files import stamp
from .hosts.loaded import LoadedModel

log = logging.getLogger("scapre")

_KEPT = 8
_FLOAT64 = ("cpu", "cuda")
_OUT_OF_MEMORY: type[Exception] = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)  # by another name


@dataclass(frozen=True)
class Solved:
    """An edit, and what there is to say of it.

    Attributes:
        edit: The edit.
        digest: Of what it does.
        about: In a line.
        file_hash: Of the file that it comes from; empty without one.
        notes: What the user should know of it here.
        remarks: What to say beside the pictures.
    """

    edit: Edit
    digest: str
    about: str
    file_hash: str = ""
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def report(self, strength: float) -> str:
        """What was erased and measured, as Markdown."""
        return render(
            report_data(self.edit, self.about, [f"{self.edit.described}, strength {strength:g}", *self.notes])
        )


class Solver:
    """Solves, and remembers what it solved last."""

    def __init__(self) -> None:
        """Remembers nothing yet."""
        self._found: OrderedDict[Hashable, Solved] = OrderedDict()

    def __call__(self, model: LoadedModel, choices: Choices, progress: Progress) -> Solved:
        """The edit for a model and what the panel says.

        Raises:
            ScaPreError: If there is none.
        """
        key = self._key(model, choices)
        if key not in self._found:
            self._found[key] = _from_file(model, choices) if choices.has_file else _from_list(model, choices, progress)
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]

    @staticmethod
    def _key(model: LoadedModel, choices: Choices) -> Hashable:
        """All that the edit depends on; how strongly it is applied is no part of it."""
        if choices.has_file:
            return model.state(), stamp(places.edit_path(choices.file))
        return model.state(), replace(choices, strength=1.0, enabled=True)


def _from_list(model: LoadedModel, choices: Choices, progress: Progress) -> Solved:
    request = choices.request()
    states, seconds = encode_request(model.encoder(), request, progress)
    remember(states.alike)
    edit = _solve(model, request, states, seconds, progress)
    names = len(edit.concepts)
    about = f"Erased {names} concept{'' if names == 1 else 's'} from {edit.family} ({len(edit.matrices)} matrices)"
    return Solved(edit, edit.digest, f"{about}, {edit.report.total_seconds:.1f} s", remarks=request.notes)


def _solve(model: LoadedModel, request: Request, states: Any, seconds: float, progress: Progress) -> Edit:
    def solve(device: torch.device) -> Edit:
        return solve_edit(states, model, request, device=device, progress=progress, encode_seconds=seconds)

    if model.device.type in _FLOAT64:
        try:
            return solve(model.device)
        except _OUT_OF_MEMORY:
            log.warning("not enough GPU memory to compute the edit there; using the CPU")
    return solve(torch.device("cpu"))


def _from_file(model: LoadedModel, choices: Choices) -> Solved:
    edit, file_hash = places.read(choices.file)
    named = f"Edit file {choices.file}"
    wanted = having(model, edit.roles)
    if any(isinstance(model.modules[name], nn.Conv2d) for name in wanted):
        raise ScaPreError(
            f"file: {shorten(choices.file)} changes convolutions, which is not possible here. Export it as a LoRA with "
            "Export Edit in ComfyUI or the command line, which is the same edit, and use that."
        )
    if edit.further:
        raise ScaPreError(
            f"file: {shorten(choices.file)} also erases from {' and '.join(titles(edit.further))}, which is not "
            "possible here. Make it again with pooled set to off, or export it as a checkpoint and load that."
        )
    here = {name: model.shape(name) for name in wanted}
    if here != dict(edit.matrices) or edit.family != model.family:
        raise ScaPreError(
            f"file: {shorten(choices.file)} was made for {edit.family} models with {len(edit.matrices)} "
            f"matrices to change, and this {model.family} model has {len(wanted)}, or others. Erase the list on this "
            "model instead; a refiner needs a list, too."
        )
    apart = edit.difference(model.samples(edit.matrices))
    notes = (_other_weights(apart),) if apart else ()
    return Solved(edit, edit.digest, f"{named}: {len(edit.concepts)} concepts, {edit.family}", file_hash, notes, notes)


def _other_weights(share: float) -> str:
    return (
        f"These weights differ by about {share:.2%} from those that the edit was solved from: another checkpoint, or a "
        "LoRA. The edit is applied; for an exact one, erase the list here."
    )
