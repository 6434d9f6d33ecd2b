"""What the model before answers to names that should stay, in pictures of their own (distillation)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from .denoiser import Denoiser
from .trajectory import advance, guided, noise, number, seeded

_TOGETHER = 8


class Held:
    """Latents of each name at all steps that are trained, and the noise that the model before predicts there.

    They are drawn once, with the frozen model, so an iteration costs no more than one picture in the trained one.
    """

    def __init__(self, texts: Sequence[str], first: int) -> None:
        """Takes names, and the first step that is trained."""
        self._texts, self._first = tuple(texts), first
        self._latents: list[Tensor] = []
        self._predicted: list[Tensor] = []

    @torch.no_grad()
    def draw(self, denoiser: Denoiser, guidance: float, seed: int, told: Callable[[int, int], None]) -> None:
        """Draws all of them, some at a time."""
        steps = len(denoiser.timesteps)
        for begin in range(0, len(self._texts), _TOGETHER):
            texts = self._texts[begin : begin + _TOGETHER]
            latents = noise(denoiser, len(texts), seeded(seed, begin, 7))
            seen, found = [], []
            for step in range(steps):
                told(begin * steps + step * len(texts), len(self._texts) * steps)
                both = denoiser.predict(torch.cat([latents] * 2), step, [*texts, *[""] * len(texts)])
                concept, empty = both.split(len(texts))
                if step >= self._first:
                    seen.append(latents.cpu())
                    found.append(concept.cpu())
                latents = advance(denoiser, latents, step, guided(concept, empty, guidance))
            self._latents.append(torch.stack(seen))
            self._predicted.append(torch.stack(found))

    def some(self, step: int, count: int, generator: torch.Generator) -> tuple[Tensor, list[str], Tensor]:
        """Some names at a step: their latents, texts and predictions; none where nothing is held."""
        places = [number(generator) % len(self._texts) for _ in range(count if self._texts else 0)]
        groups = [divmod(place, _TOGETHER) for place in places]
        row = step - self._first
        if not places:
            return torch.empty(0), [], torch.empty(0)
        latents = torch.stack([self._latents[group][row, place] for group, place in groups])
        predicted = torch.stack([self._predicted[group][row, place] for group, place in groups])
        return latents, [self._texts[place] for place in places], predicted


def distilled(tuned: Tensor, predicted: Tensor) -> Tensor:
    """How far the trained model has moved from what it answered before."""
    return mse_loss(tuned, predicted.to(tuned))
