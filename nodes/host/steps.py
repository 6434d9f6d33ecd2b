"""Single steps of the host's KSampler, for pictures that are taken on their way one step at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ...scapre.errors import ScaPreError, shorten
from .sampling import Sampling

SAMPLERS = [name for name in ("euler", "heun", "dpm_2", "ddim") if name in comfy.samplers.KSampler.SAMPLERS]
"""Samplers that neither add noise nor look back at earlier steps."""

Conditioning = Sequence[Any]


def one_step(
    model: Any, latents: Tensor, prompts: Sequence[Conditioning], negative: Conditioning, sampling: Sampling, step: int
) -> Tensor:
    """Latents (n, …) one step on, by KSampler from one step to the next.

    So only samplers that neither look back at earlier steps nor add noise draw here what they draw elsewhere.

    Args:
        model: The MODEL.
        latents: (n, …) as the step before has left them; empty ones at the first, where the noise of the seed is added.
        prompts: n conditionings that can go to a model together; see `together`.
        negative: One for all.
        sampling: Settings of KSampler.
        step: Which.
    """
    noise = comfy.sample.prepare_noise(latents[:1], sampling.seed)
    drawn: Tensor = comfy.sample.sample(
        model,
        (noise if step == 0 else torch.zeros_like(noise)).expand_as(latents),
        sampling.steps,
        sampling.cfg,
        sampling.sampler_name,
        sampling.scheduler,
        _joined(prompts),
        negative,
        latents,
        disable_noise=step > 0,
        start_step=step,
        last_step=step + 1,
        disable_pbar=True,
        seed=sampling.seed,
    )
    return drawn


def together(prompts: Sequence[tuple[Tensor, Mapping[str, Any]]]) -> list[list[int]]:
    """Places of conditionings that go to a model together: of one length, and with nothing for one text alone.

    Args:
        prompts: States (1, tokens, width), and what the host hands on with them.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for place, (states, more) in enumerate(prompts):
        alone = any(isinstance(value, Tensor) and value.ndim < 2 for value in more.values())
        groups.setdefault((states.shape[1], place if alone else -1), []).append(place)
    return list(groups.values())


def _joined(prompts: Sequence[Conditioning]) -> list[Any]:
    """One conditioning of a batch from those of its pictures."""
    states = torch.cat([prompt[0][0] for prompt in prompts])
    first = prompts[0][0][1]
    more = {
        key: torch.cat([prompt[0][1][key] for prompt in prompts]) if isinstance(value, Tensor) else value
        for key, value in first.items()
    }
    return [[states, more]]


def sigmas_of(model: Any, sampling: Sampling) -> list[float]:
    """The noise at each step, and behind the last one.

    Raises:
        ScaPreError: If the scheduler gives fewer steps than are asked for.
    """
    s = sampling
    sampler = comfy.samplers.KSampler(
        model, s.steps, model.load_device, s.sampler_name, s.scheduler, 1.0, model.model_options
    )
    given = len(sampler.sigmas) - 1
    if given < s.steps:
        raise ScaPreError(
            f"scheduler: {s.scheduler} gives {given} steps where {s.steps} are asked for. Take fewer, or another."
        )
    found: list[float] = sampler.sigmas.float().cpu().tolist()
    return found


def check_sampler(sampling: Sampling) -> None:
    """Accepts a sampler and a scheduler that the host has, where it would take another without a word, and a number.

    Raises:
        ScaPreError: If the host lacks one, or the sampler adds noise or looks back, or the guidance is no number.
    """
    if not math.isfinite(sampling.cfg):
        raise ScaPreError(f"cfg: {sampling.cfg} is no number. Give one, such as 7.")
    known = {"sampler_name": SAMPLERS, "scheduler": comfy.samplers.KSampler.SCHEDULERS}
    given = {"sampler_name": sampling.sampler_name, "scheduler": sampling.scheduler}
    for field, name in given.items():
        if name not in known[field]:
            raise ScaPreError(
                f"{field}: {shorten(name)} is none that can be watched here. Choose one of {', '.join(known[field])}."
            )
