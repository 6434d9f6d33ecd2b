"""Trains a model at key steps, one step of the optimiser after another; what is done can be had at any time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from ...errors import ScaPreError
from ...progress import Progress
from ..payload import Payload
from .denoiser import Denoiser
from .factors import ADAM, Trained
from .held import Held, distilled
from .losses import LOSSES, Predictions, led_away
from .mask import Mask
from .prompts import Lesson
from .steps import Entry
from .trajectory import advance, guided, noise, seeded, walk
from .turns import Turns

STAGE, HOLDING = "training", "holding"
_FADING = 0.9
UNSAVED = (
    "resume: this edit does not keep what training needs to go on, since it was merged or saved without it "
    "(for_merging off). Connect the edit as it was trained, or train from the beginning."
)
Told = Callable[[int, float], None]
"""Told of the iterations that are done, and of the last one's loss."""


class Trainer:
    """One training, from its beginning or from where an edit stands.

    All chance depends on the seed and on how much is done, so a run that goes on is the run that never stopped. (A mask
    is chosen anew where a run goes on.)
    """

    def __init__(
        self,
        denoiser: Denoiser,
        trained: dict[str, Trained],
        lessons: Sequence[Lesson],
        held: Sequence[str],
        settings: Any,
        seed: int,
    ) -> None:
        """Begins at the beginning.

        Args:
            denoiser: The model.
            trained: What is trained of it, by the weights' names; moved to the model's device.
            lessons: What it should forget.
            held: Prompts that it should answer as before, where `hold` is set.
            settings: Of KSCU.
            seed: Of all chance.
        """
        self.denoiser, self.trained, self.lessons = denoiser, trained, lessons
        self.settings, self.seed, self.done = settings, seed, 0
        self.losses: list[float] = []
        self.diverged = False
        for part in trained.values():
            part.to(denoiser.device)
        self._names = [(name, key, p) for name, part in trained.items() for key, p in part.named_parameters()]
        self._parameters = [parameter for _, _, parameter in self._names]
        self._optimiser = torch.optim.Adam(self._parameters, lr=settings.learning_rate)
        self._scaler = _scaler(denoiser)
        self._loss, self._mask = LOSSES[settings.loss], Mask(settings.mask, settings.mask_every)
        self._turns = Turns(lessons, settings, seed)
        self._held = Held(held if settings.hold else (), settings.first)
        self._seen = torch.zeros(len(lessons), 2)
        self._latents: Tensor | None = None
        self._picture = -1

    def resume(self, payload: Payload) -> None:
        """Goes on from what an earlier run has left.

        Raises:
            ScaPreError: If it keeps no more than the change.
        """
        if "latents" not in payload.shared:
            raise ScaPreError(UNSAVED)
        latents, (steps, scale) = payload.shared["latents"], payload.shared["adam"]
        fits = all(payload.matrices[name][key].shape == parameter.shape for name, key, parameter in self._names)
        fits &= payload.shared["seen"].shape == self._seen.shape and latents.shape[1] == math.prod(self.denoiser.shape)
        if not fits:
            raise ScaPreError("resume: this edit holds tensors of other sizes than its settings say. Train it again.")
        self.done = int(payload.shared["done"])
        for name, key, parameter in self._names:
            own = payload.matrices[name]
            parameter.data.copy_(own[key])
            moments = {its: own[f"{key}_{ours}"].to(parameter.device, copy=True) for ours, its in ADAM.items()}
            self._optimiser.state[parameter] = {"step": steps.clone(), **moments}
        self._scaler = _scaler(self.denoiser, float(scale))
        self._seen = payload.shared["seen"].clone()
        if self.done and len(latents) == self.settings.batch:  # else new pictures are begun, as where memory was full
            self._latents = latents.to(self.denoiser.device).unflatten(1, self.denoiser.shape)
            table = self._loss.table(self.settings, self.seed)
            self._picture = next(islice(table, self.done - 1, None)).picture

    def run(self, progress: Progress, told: Told = lambda done, loss: None) -> None:
        """Trains until all iterations are done, or the numbers are no longer finite.

        Args:
            progress: Told each iteration; may raise to stop.
            told: Called after each of them.

        Raises:
            ScaPreError: If the first iteration gives no finite numbers.
        """
        s = self.settings
        self._held.draw(self.denoiser, s.guidance, self.seed, lambda done, total: progress(HOLDING, done, total))
        for entry in islice(self._loss.table(s, self.seed), self.done, s.iterations):
            progress(STAGE, self.done, s.iterations)
            loss = self._iterate(entry)
            if not math.isfinite(loss):
                self.diverged = True
                if self.done:
                    return
                raise ScaPreError(
                    f"model: the loss of the first iteration is {loss}. Load the model in another precision (bf16 or "
                    "fp32), or take a smaller learning_rate."
                )
            self.done += 1
            self.losses.append(loss)
            told(self.done, loss)
        progress(STAGE, s.iterations, s.iterations)

    def payload(self) -> Payload:
        """What is learned so far, and what the next iteration needs."""
        matrices: dict[str, dict[str, Tensor]] = {name: {} for name in self.trained}
        for name, key, parameter in self._names:
            state = self._optimiser.state.get(parameter, {})
            matrices[name][key] = parameter.detach().cpu().clone()
            for ours, its in ADAM.items():
                matrices[name][f"{key}_{ours}"] = state.get(its, torch.zeros_like(parameter)).detach().cpu().clone()
        latents = torch.zeros(1, *self.denoiser.shape) if self._latents is None else self._latents
        steps = max((float(state["step"]) for state in self._optimiser.state.values()), default=0.0)
        adam = torch.tensor([steps, self._scaler.get_scale()])
        shared = {"done": torch.tensor([self.done]), "seen": self._seen.clone(), "adam": adam}
        return Payload(shared | {"latents": latents.flatten(1).float().cpu()}, matrices)

    def _iterate(self, entry: Entry) -> float:
        """One step of the optimiser; nothing is changed where its numbers are not finite."""
        lessons, texts, text_noise = self._turns.of(entry, self.done)
        latents = self._at(entry, texts)
        pictures, step = len(latents), entry.step
        instead = [lesson.instead for lesson in lessons]
        empty = [""] * pictures
        with torch.no_grad():
            asked = [*texts, *empty, *(instead if any(instead) else [])]
            rows = self.denoiser.predict(latents.repeat(len(asked) // pictures, *[1] * (latents.ndim - 1)), step, asked)
            frozen = Predictions(*rows.split(pictures)) if any(instead) else _without_instead(rows, pictures)
        chance = seeded(self.seed, self.done, 3)
        others, names, predicted = self._held.some(step, pictures, chance)
        with torch.enable_grad(), self.denoiser.with_factors(self.trained):
            tuned_rows = self.denoiser.predict(
                torch.cat([latents, latents, *([others.to(latents)] if names else [])]),
                step,
                [*texts, *empty, *names],
                text_noise,
            )
            tuned = _without_instead(tuned_rows[: 2 * pictures], pictures)
            loss = self._loss(tuned, frozen, self.denoiser.timesteps[step], self.settings)
            if names:
                loss = loss + self.settings.hold * distilled(tuned_rows[2 * pictures :], predicted)
            self._optimiser.zero_grad(set_to_none=True)
            if not loss.isfinite():
                return float(loss.detach())
            self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimiser)
        norms = torch.stack([p.grad.norm() for p in self._parameters if p.grad is not None])
        if not self._scaler.is_enabled() and not norms.isfinite().all():
            return math.nan
        self._mask.apply(self._parameters, self.done)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._look(lessons, tuned.concept.detach(), frozen)
        direction = guided(tuned.concept, tuned.empty, self.settings.guidance).detach()
        self._latents, self._picture = advance(self.denoiser, latents, step, direction), entry.picture
        return float(loss.detach())

    def _look(self, lessons: Sequence[Lesson], tuned: Tensor, frozen: Predictions) -> None:
        """Sums, of which older ones fade, of how far each concept is from where it should go, and was before."""
        target = led_away(frozen, self.settings)
        for row, lesson in enumerate(lessons):
            apart = [(found[row] - target[row]).square().mean().cpu() for found in (tuned, frozen.concept)]
            place = self.lessons.index(lesson)
            self._seen[place] = _FADING * self._seen[place] + torch.stack(apart)

    def _at(self, entry: Entry, texts: Sequence[str]) -> Tensor:
        """Latents at a step: those that the last entry has led to, or of new pictures by the model as it is now."""
        if self._latents is not None and entry.picture == self._picture:
            return self._latents
        latents = noise(self.denoiser, self.settings.batch, seeded(self.seed, entry.picture, 1))
        with self.denoiser.with_factors(self.trained):
            return walk(self.denoiser, latents, texts, range(entry.step + 1), self.settings.guidance)


def _scaler(denoiser: Denoiser, scale: float = 2.0**16) -> torch.amp.GradScaler:
    half = denoiser.dtype == torch.float16
    return torch.amp.GradScaler(denoiser.device.type, init_scale=max(scale, 1.0), enabled=half)


def _without_instead(rows: Tensor, pictures: int) -> Predictions:
    concept, empty = rows.split(pictures)
    return Predictions(concept, empty, empty)
