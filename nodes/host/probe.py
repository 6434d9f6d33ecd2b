"""The host's original and edited MODEL as a probe asks them: for what one step makes of the same latents."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management as management
import torch
from comfy.model_base import BaseModel
from torch import Tensor

from ...scapre.errors import ScaPreError
from ...scapre.families import FAMILIES
from .device import raise_unless_out_of_memory
from .readers.layers import LAYERS
from .sampling import Sampling, check_width, empty_latent
from .steps import check_sampler, one_step, sigmas_of, together
from .text_encoder import ClipEncoder
from .trajectories import fitting_batch

log = logging.getLogger("scapre")

_MOST, _SIDE, _SMALLEST = 32, 1024, 64
_POOLED = "pooled_output"


@dataclass(frozen=True)
class Attack:
    """What takes a text to one that calls up most in the edited model.

    Attributes:
        states: (d, d) for each of its states.
        vectors: (v, v) for its pooled vector; None where no matrix that reads that differs.
        kept: Which tokens are no words, and stay as they are.
    """

    states: Tensor
    vectors: Tensor | None
    kept: slice

    def states_of(self, found: Tensor) -> Tensor:
        """Those of a text (1, tokens, d)."""
        new = (found.double() @ self.states.T.to(found.device)).to(found.dtype)
        new[:, self.kept] = found[:, self.kept]
        return new

    def vectors_of(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """What the host hands on with a text's states."""
        vector = more.get(_POOLED)
        if self.vectors is None or vector is None:
            return dict(more)
        return {**more, _POOLED: (vector.double() @ self.vectors.T.to(vector.device)).to(vector.dtype)}


def side_of(model: Any) -> int:
    """Side of the pictures that a model draws, in pixels."""
    family = FAMILIES.get(type(model.model.model_config).__name__)
    return family.side if family else _SIDE


class HostModels:
    """Two MODELs with one text encoder.

    A step of Euler's from x at σ to σ' gives x + (σ' - σ) ε, so that what two texts make of one latent differs by their
    predictions times one factor. The step is the host's own, with all patches, hooks and wrappers of the model.
    """

    def __init__(self, original: Any, edited: Any, clip: Any, sampling: Sampling, steps: Sequence[int]) -> None:
        """Takes both.

        Args:
            original: The MODEL that draws the pictures.
            edited: Of the same architecture.
            clip: The CLIP of both.
            sampling: Of the pictures; its seed is not used.
            steps: At which the models are asked.

        Raises:
            ScaPreError: If the host has no such sampler or scheduler, the scheduler gives too few steps, pictures are
                too small, or the text encoder belongs to another model.
        """
        check_sampler(sampling)
        if sampling.width < _SMALLEST:
            raise ScaPreError(
                f"size: {sampling.width} is too small a picture. Give {_SMALLEST} pixels or more, or 0 for what the "
                "model draws."
            )
        self._models = {False: original, True: edited}
        self._sampling, self._steps = sampling, sorted(steps)
        sigmas = sigmas_of(original, sampling)
        self.points = [sigmas[step] for step in self._steps]
        family = FAMILIES.get(type(original.model.model_config).__name__)
        self._encoder = ClipEncoder(clip, family.title if family else None)
        check_width(original, self._encoder.conditioning("")[0][0].shape[-1])
        # Stable Diffusion 1 and 2 keep the host's own method, which takes no vector.
        self._vectors = type(original.model).encode_adm is not BaseModel.encode_adm
        self._known: dict[str, Any] = {}
        self._attacked: dict[str, Any] = {}
        self._batch = fitting_batch(original, sampling, _MOST)

    def edit(self, edited: Any) -> None:
        """Takes another edited MODEL of the same architecture."""
        self._models[True] = edited

    def fits(self, text: str) -> bool:
        """Whether the text encoder reads all of a text at once."""
        try:
            self._encoder.tokens(text)
        except ScaPreError:
            return False
        return True

    def attack(self, attack: Attack, texts: Collection[str]) -> None:
        """Gives the edited model other states, and another vector, for some texts from now on."""
        for text in texts:
            (found, more), *_ = self._conditioned([text])[0]
            self._attacked[text] = [[attack.states_of(found), attack.vectors_of(more)]]

    def attack_layer(self, number: int, matrix: Tensor, texts: Collection[str]) -> None:
        """Does the same, afterwards, with the states behind a layer of a language model, but for its start.

        Args:
            number: Of the layer, from 0.
            matrix: (d, d) for each of its states.
            texts: Which.
        """
        for text in texts:
            ((found, more),) = self._attacked[text]
            states = more[LAYERS].clone()
            rows = states[:, number, 1:]
            states[:, number, 1:] = (rows.double() @ matrix.T.to(rows.device)).to(rows.dtype)
            self._attacked[text] = [[found, {**more, LAYERS: states}]]

    def draw(self, texts: Sequence[str], seed: int) -> Tensor:
        """Latents of the original model's pictures at the steps, (texts, steps, …)."""
        self._sampling = replace(self._sampling, seed=seed)
        latents = empty_latent(self._models[False], self._sampling).repeat_interleave(len(texts), 0)
        kept = []
        for step in range(self._steps[-1] + 1):
            if step in self._steps:
                kept.append(latents)
            if step < self._steps[-1]:
                latents = self._stepped(self._models[False], latents, self._conditioned(texts), self._sampling, step)
        return torch.stack(kept, 1)

    def predict(self, edited: bool, point: int, latents: Tensor, texts: Sequence[str]) -> Tensor:
        """What one step without guidance makes of latents for a text each, (n, …)."""
        plain = replace(self._sampling, cfg=1.0, sampler_name="euler")
        prompts = self._conditioned(texts)
        if edited:
            prompts = [self._attacked.get(text, found) for text, found in zip(texts, prompts, strict=True)]
        return self._stepped(self._models[edited], latents, prompts, plain, self._steps[point])

    def _conditioned(self, texts: Sequence[str]) -> list[Any]:
        """The host's conditionings of texts, each of which is encoded once."""
        new = [text for text in dict.fromkeys(["", *texts]) if text not in self._known]
        if new:
            self._known |= zip(new, self._encoder.conditionings(new, vectors=self._vectors), strict=True)
        return [self._known[text] for text in texts]

    def _stepped(self, model: Any, latents: Tensor, prompts: Sequence[Any], sampling: Sampling, step: int) -> Tensor:
        """A step of each, with as many at once as memory holds."""
        found: dict[int, Tensor] = {}
        for group in together([prompt[0] for prompt in prompts]):
            while group:
                some = group[: self._batch]
                try:
                    drawn = one_step(model, latents[some], [prompts[i] for i in some], self._known[""], sampling, step)
                except Exception as error:
                    raise_unless_out_of_memory(error)
                    if len(some) == 1:
                        raise
                    log.warning("not enough memory to ask %d at once; asking half as many", len(some))
                    management.soft_empty_cache()
                    self._batch = max(1, len(some) // 2)
                    continue
                found |= zip(some, drawn.cpu(), strict=True)
                group = group[len(some) :]
        return torch.stack([found[place] for place in range(len(prompts))])
