"""Text to image by the host's own code, so that a picture here is, bit for bit, the picture of the usual graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import comfy.model_management as management
import comfy.sample
import comfy.utils
import torch
from torch import Tensor

from ...scapre.errors import ScaPreError

stock = import_module("nodes")  # the host's module; written as an import, it reads like this package
_PARTS = 1000  # of a picture, on the bar


@dataclass(frozen=True)
class Sampling:
    """What the stock nodes Empty Latent Image and KSampler are set to."""

    seed: int
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    width: int
    height: int


def check_inputs(original: Any, edited: Any, clip: Any, vae: Any) -> None:
    """Accepts two models of one architecture, and what loaders give along with them.

    Raises:
        ScaPreError: If something is missing, or one text encoder and one size of noise cannot serve both models.
    """
    check_models(original, edited, clip)
    if getattr(vae, "first_stage_model", None) is None:
        raise ScaPreError(
            "vae: it is missing. This loader gives no VAE; add a Load VAE node with one that belongs to the model."
        )


def check_models(original: Any, edited: Any, clip: Any) -> None:
    """Accepts two models of one architecture, and a text encoder.

    Raises:
        ScaPreError: If something is missing, or one text encoder and one size of noise cannot serve both models.
    """
    if clip is None:
        raise ScaPreError(
            "clip: it is missing. This loader gives no text encoder; add a Load CLIP node with the text encoder that "
            "belongs to the model."
        )
    first, second = _architecture(original), _architecture(edited)
    if first != second:
        raise ScaPreError(
            f"edited: it is {_named(second)}, and original is {_named(first)}. Connect what goes into Erase Concepts "
            "to original, and its output to edited."
        )


def _architecture(model: Any) -> tuple[str, Any, Any]:
    config = model.model.model_config
    return type(config).__name__, *(config.unet_config.get(key) for key in ("context_dim", "in_channels"))


def _named(architecture: tuple[str, Any, Any]) -> str:
    family, width, channels = architecture
    return f"{family} (text width {width}, {channels} channels)"


def encode(model: Any, clip: Any, texts: Sequence[str]) -> list[Any]:
    """Conditionings of prompts for a model, in the syntax of the host's prompts.

    Raises:
        ScaPreError: If the text encoder belongs to another model.
    """
    encoder = stock.CLIPTextEncode()
    conditionings = [_uninterrupted(encoder.encode, clip, text) for text in texts]
    check_width(model, conditionings[0][0][0].shape[-1])
    return conditionings


def check_width(model: Any, given: int) -> None:
    """Accepts text states of a width that a model reads.

    Raises:
        ScaPreError: If the text encoder belongs to another model.
    """
    wanted = _architecture(model)[1]
    if isinstance(wanted, int) and wanted != given:
        raise ScaPreError(
            f"clip: its states are {given:,} numbers wide, and the model reads {wanted:,}. Connect the text encoder "
            "that belongs to the model."
        )


class PictureBar:
    """One bar over all pictures of a run. KSampler's would start anew with each, and leave its last preview behind."""

    def __init__(self, pictures: int) -> None:
        """Starts at the left end."""
        self._bar, self._done = comfy.utils.ProgressBar(_PARTS * pictures), 0

    def step(self, step: int, x0: Tensor, x: Tensor, total: int) -> None:
        """What a sampler calls after each of its steps."""
        self._bar.update_absolute(self._done + _PARTS * (step + 1) // total)

    def next(self) -> None:
        """Goes on to the next picture."""
        self._done += _PARTS


def sample(model: Any, positives: Sequence[Any], negative: Any, settings: Sampling, bar: PictureBar) -> list[Tensor]:
    """One latent for each prompt, each from the noise of the same seed."""
    latent = empty_latent(model, settings)
    return [_sample_one(model, positive, negative, latent, settings, bar) for positive in positives]


def empty_latent(model: Any, settings: Sampling) -> Tensor:
    """What Empty Latent Image gives for one picture, in the model's own format.

    Raises:
        ScaPreError: If the model makes sound, or only a part of a picture, or the picture would have nothing in it.
    """
    form = type(model.get_model_object("latent_format")).__name__
    if "Audio" in form:
        raise ScaPreError(
            f"model: this {type(model.model.model_config).__name__} model makes sound, and this node draws pictures. "
            "Use Erase Concepts, and listen to what a sampler makes before and after."
        )
    if form.startswith("SC_"):
        raise ScaPreError(
            "model: this is one stage of Stable Cascade, and this node draws with a model alone. Draw with a KSampler "
            "for each stage, before and after."
        )
    empty = stock.EmptyLatentImage().generate(settings.width, settings.height)[0]
    ratios = {key: value for key, value in empty.items() if key != "samples"}
    latent: Tensor = comfy.sample.fix_empty_latent_channels(model, empty["samples"], **ratios)
    if not latent.numel():
        raise ScaPreError(
            f"size: {settings.width} x {settings.height} pixels are too small a picture for this model. Give 64 or "
            "more, or 0 for what the model draws."
        )
    return latent


def _sample_one(
    model: Any, positive: Any, negative: Any, latent: Tensor, settings: Sampling, bar: PictureBar
) -> Tensor:
    drawn = comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(latent, settings.seed),
        settings.steps,
        settings.cfg,
        settings.sampler_name,
        settings.scheduler,
        positive,
        negative,
        latent,
        callback=bar.step,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=settings.seed,
    )
    bar.next()
    return drawn


def decode(vae: Any, latents: Sequence[Tensor]) -> Tensor:
    """Pictures of latents, (pictures, height, width, 3); one at a time, because a batch can differ in the last bit."""
    decoder = stock.VAEDecode()
    return torch.cat([_uninterrupted(decoder.decode, vae, {"samples": latent}) for latent in latents])


def _uninterrupted(step: Any, *inputs: Any) -> Any:
    """One step of a stock node, unless the user has cancelled; sampling asks by itself."""
    management.throw_exception_if_processing_interrupted()
    return step(*inputs)[0]
