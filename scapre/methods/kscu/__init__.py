"""KSCU, key-step concept unlearning (arXiv 2507.06526): a model is trained at the steps that carry a concept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ...errors import ScaPreError, some
from ...families import Projections, Role
from ...states.token_states import Reads
from ..change import Change
from ..method import Fit, Held, Method, Problem
from ..payload import Kind, Layout, Payload, Tensors
from .factors import ADAM
from .settings import LAYERS, MOST, PRESETS, Settings

_PAIR = torch.empty(2)
_FAR, _FEW = 1.2, 6
_OWN = {
    True: {"up": Kind(None, "nr"), "down": Kind(None, "rd")},
    False: {"change": Kind(None, "nd")},
}


class KSCU(Method):
    """W' = W + what training has learned for a matrix: factors up (n, r) and down (r, d), or the change itself.

    A payload also says how many iterations are done, and may keep what the next one needs: latents on their way, and
    Adam's moments. Trained with the same seed, a run that goes on from it is the run that never stopped.
    """

    title = "KSCU"
    about = "Trains the model at the denoising steps that carry the concepts."
    roles = LAYERS["all"]
    settings = Settings
    presets = PRESETS
    reads = Reads.LAST
    joint = True
    sums = True
    seeded = True
    preserves = True
    draws = True
    trains = True
    moments = MappingProxyType({})

    def edits(self, settings: Any) -> Collection[Role]:
        """The layers that are trained."""
        return LAYERS[settings.layers]

    def joined(self, held: Sequence[Held], concepts: Sequence[str], preserve: Sequence[str]) -> Tensors:
        """Nothing: what was learned is added up."""
        return {}

    def summed(self, payloads: Sequence[Payload]) -> Payload:
        """The sum of the changes: factors side by side."""
        first, trimmed = payloads[0], [self.trimmed(payload) for payload in payloads]
        if any(payload.matrices.keys() != first.matrices.keys() for payload in payloads):
            raise ScaPreError(
                "edits: they train different layers. Put them on one after another with Apply Edit, which adds them up."
            )
        kinds = {"change" in own for payload in payloads for own in payload.matrices.values()}
        if len(kinds) > 1:
            raise ScaPreError(
                "edits: one holds full weights (rank 0) and another factors. Put them on one after another with Apply "
                "Edit, which adds them up."
            )
        done = torch.stack([payload.shared["done"] for payload in payloads]).amax(0)
        if len(payloads) == 1:
            return trimmed[0]
        shared = {"done": done, "seen": torch.cat([payload.shared["seen"] for payload in payloads])}
        return Payload(shared, {name: _sum([p.matrices[name] for p in trimmed]) for name in first.matrices})

    def trimmed(self, payload: Payload) -> Payload:
        """Without what the next iteration needs."""
        own = {
            name: {key: value for key, value in tensors.items() if key in ("up", "down", "change")}
            for name, tensors in payload.matrices.items()
        }
        return Payload({key: payload.shared[key] for key in ("done", "seen")}, own)

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """What was learned."""
        learned = problem.learned
        if learned is None:
            raise ScaPreError("method: KSCU has to train the model, which needs a host. Use the node Unlearn Concepts.")
        return Fit(learned.shared, lambda name, weight: learned.matrices[name])

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """What was learned, whatever the weight."""
        if "change" in own:
            return Change(own["change"], None, weight.to(own["change"].dtype))
        basis, turned = torch.linalg.qr(own["down"].T)
        return Change(own["up"] @ turned.T, basis, weight.to(basis.dtype))

    def factors(self, own: Tensors) -> tuple[Tensor, Tensor] | None:
        """The factors as they were trained."""
        return None if "change" in own else (own["up"], own["down"])

    def layout(self, settings: Any, held: Collection[str]) -> Layout:
        """Factors or changes, with Adam's moments where latents are there."""
        own = _OWN[bool(settings.rank)]
        shared = {"done": Kind(torch.int64, "o", 0, MOST), "seen": Kind(torch.float32, "mq", 0)}
        if "latents" not in held:
            return Layout(shared, own)
        moments = {
            f"{key}_{moment}": replace(kind, least=0) if moment == "second" else kind
            for key, kind in own.items()
            for moment in ADAM
        }
        more = {"latents": Kind(torch.float32, "bl"), "adam": Kind(torch.float32, "e", 0)}
        return Layout(shared | more, own | moments)

    def holds(self, tensors: Tensors) -> bool:
        """Whether what all matrices share is of the sizes that are read."""
        sizes = {"done": 1, "adam": 2}
        fits = all(len(tensors[key]) == size for key, size in sizes.items() if key in tensors)
        return fits and tensors.get("seen", _PAIR).shape[-1] == len(_PAIR)

    def remaining(self, payload: Payload) -> Sequence[float]:
        """‖ε*_c - target‖ / ‖ε_c - target‖ over the last iterations of each concept."""
        now, before = payload.shared["seen"].double().clamp(min=torch.finfo(torch.float64).tiny).T
        left: list[float] = (now / before).sqrt().tolist()
        return left

    def remarks(
        self, payload: Payload, moments: Tensors, shapes: Mapping[str, tuple[int, int]], names: Sequence[str]
    ) -> tuple[str, ...]:
        """Says which names had no turn, and which are further from where they should go than before."""
        told, seen = [], payload.shared["seen"].any(-1).tolist()
        if missed := [name for name, was in zip(names, seen, strict=True) if not was]:
            told.append(
                f"{len(missed)} of {len(names)} names had no turn: {some(missed, _FEW)}. Give more iterations, or a "
                "larger batch"
            )
        left = dict(zip(names, self.remaining(payload), strict=True))
        if far := [name for name, share in left.items() if share > _FAR]:
            told.append(f"further away than before: {some(far, _FEW)}. Take a smaller learning_rate")
        return tuple(told)

    def describe(self, settings: Any) -> str:
        """The loss and the layers."""
        return f"method {self.title if settings.loss == 'kscu' else settings.loss.upper()}, {settings.layers}"

    def figures(self, payload: Payload, settings: Any) -> Mapping[str, float]:
        """How long it was trained."""
        return {"iterations": int(payload.shared["done"]), **({"rank": settings.rank} if settings.rank else {})}


def _sum(parts: Sequence[Tensors]) -> Tensors:
    if "change" in parts[0]:
        return {"change": torch.stack([part["change"] for part in parts]).sum(0)}
    return {"up": torch.cat([part["up"] for part in parts], 1), "down": torch.cat([part["down"] for part in parts])}


__all__ = ["KSCU", "Settings"]
