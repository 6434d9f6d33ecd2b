"""What the model draws before and after, side by side, while it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from latent_preview import Latent2RGBPreviewer
from PIL import Image
from torch import Tensor

from ...scapre.methods.kscu.factors import Trained
from ...scapre.methods.kscu.trajectory import noise, seeded, walk
from .denoiser import HostDenoiser

_STEPS = 12
_LARGEST = 512
_LEAST = 192  # pixels of a side
_GAP = 4


class Preview:
    """Draws a prompt with one seed, roughly, and shows it beside what the model drew before it was trained."""

    def __init__(self, denoiser: HostDenoiser, text: str, guidance: float, seed: int) -> None:
        """Draws nothing yet."""
        self._denoiser, self._text, self._guidance, self._seed = denoiser, text, guidance, seed
        self._before: Tensor | None = None
        last = len(denoiser.timesteps)
        self._steps = sorted({round(place) for place in torch.linspace(0, last, _STEPS + 1).tolist()})

    @torch.no_grad()
    def draw(self, trained: Mapping[str, Trained], latent_format: Any) -> tuple[str, Image.Image, int] | None:
        """A picture as the host's progress takes it; None for latents that the host cannot show."""
        if getattr(latent_format, "latent_rgb_factors", None) is None:
            return None
        if self._before is None:
            self._before = self._walk()
        with self._denoiser.with_factors(trained):
            after = self._walk()
        previewer = Latent2RGBPreviewer(
            latent_format.latent_rgb_factors,
            getattr(latent_format, "latent_rgb_factors_bias", None),
            getattr(latent_format, "latent_rgb_factors_reshape", None),
        )
        both = [previewer.decode_latent_to_preview(latents) for latents in (self._before, after)]
        return "JPEG", _beside(both), _LARGEST

    def _walk(self) -> Tensor:
        latents = noise(self._denoiser, 1, seeded(self._seed, 11))
        return walk(self._denoiser, latents, [self._text], self._steps, self._guidance)


def _beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Two pictures next to each other, large enough to be seen."""
    width, height = pictures[0].size
    scale = max(1, -(-_LEAST // max(width, height)))
    large = [picture.resize((width * scale, height * scale), Image.Resampling.BICUBIC) for picture in pictures]
    whole = Image.new("RGB", (2 * width * scale + _GAP, height * scale), "white")
    for place, picture in enumerate(large):
        whole.paste(picture, (place * (width * scale + _GAP), 0))
    return whole
