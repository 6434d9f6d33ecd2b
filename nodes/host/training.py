"""Runs a training in the host: out of inference mode, with the host's progress, previews and Cancel."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management as management
import torch

from ...scapre.errors import ScaPreError
from ...scapre.methods.kscu.factors import make
from ...scapre.methods.kscu.prompts import Lesson
from ...scapre.methods.kscu.train import Trainer
from ...scapre.methods.kscu.turns import Turns
from ...scapre.methods.payload import Payload
from .denoiser import HostDenoiser
from .device import is_out_of_memory, raise_unless_out_of_memory
from .memory import check_memory, free
from .preview import Preview
from .progress import HostProgress
from .sampling import Sampling
from .text_encoder import ClipEncoder

log = logging.getLogger("scapre")

_WITHOUT_GRADIENTS = ("modified by an inplace operation", "no autograd formula")  # as PyTorch says it


@dataclass(frozen=True)
class Job:
    """What to train.

    Attributes:
        model: The MODEL.
        clip: Its CLIP.
        sampling: Of the pictures that are trained on.
        shapes: Of the weights that are trained, as the model keeps them.
        lessons: What to forget.
        held: Prompts to answer as before.
        settings: Of KSCU.
        seed: Of all chance.
        preview_every: Iterations between two previews; 0 is none.
        resume: What an earlier run has left.
    """

    model: Any
    clip: Any
    sampling: Sampling
    shapes: Mapping[str, Sequence[int]]
    lessons: tuple[Lesson, ...]
    held: tuple[str, ...]
    settings: Any
    seed: int
    preview_every: int
    resume: Payload | None = None


@dataclass(frozen=True)
class Finished:
    """What came out.

    Attributes:
        payload: What is learned.
        settings: It was trained with; where memory was full, others than were asked for.
        notes: What the user should know.
        stopped: The host's exception where the user has cancelled, or whatever else has ended it.
    """

    payload: Payload
    settings: Any
    notes: tuple[str, ...]
    stopped: BaseException | None = None


def train(job: Job, progress: HostProgress) -> Finished:
    """Trains until it is done or cancelled; where memory does not suffice, with less of it, once.

    Raises:
        ScaPreError: See `HostDenoiser`, `Trainer` and `check_memory`.
        BaseException: The host's, where the user cancels before the first iteration is done.
    """
    needed = check_memory(job.model, job.shapes, job.settings.rank)
    progress.say(f"Training needs {needed}")
    log.info("training needs %s", needed)
    first = _train(job, progress)
    if isinstance(first, Finished):
        return first
    settings, told = _smaller(job)
    management.soft_empty_cache()
    log.warning("not enough memory for an iteration; going on with %s", told)
    again = _train(replace(job, settings=settings, resume=first.done or job.resume), progress)
    if isinstance(again, Finished):
        return replace(again, notes=(f"memory was full, so it was trained with {told}", *again.notes))
    device = job.model.load_device
    full = ScaPreError(
        f"model: an iteration does not fit into the memory of {device} ({free(device):.2f} GB free), not even with "
        f"{told}. Take a smaller size or rank, or load the model in fp16 or bf16."
    )
    if again.done is None:
        raise full
    return Finished(again.done, settings, (), full)


@dataclass(frozen=True)
class _Full:
    """Memory was full; `done` is what was learned before, if anything."""

    done: Payload | None


def _smaller(job: Job) -> tuple[Any, str]:
    """Settings that take less memory for an iteration, and what they are."""
    batch = job.settings.batch
    told = "gradient checkpointing" if batch == 1 else f"gradient checkpointing and a batch of {batch // 2}"
    return replace(job.settings, batch=max(1, batch // 2), checkpointing=True), told


def _train(job: Job, progress: HostProgress) -> Finished | _Full:
    encoder = ClipEncoder(job.clip)
    job = replace(job, lessons=tuple(_fitting(lesson, encoder) for lesson in job.lessons))
    done = 0 if job.resume is None else int(job.resume.shared["done"])
    shown = job.lessons[0].prompts[0]
    texts = tuple(dict.fromkeys(["", shown, *Turns(job.lessons, job.settings, job.seed).texts(done), *job.held]))
    conditionings = {}
    with torch.inference_mode(False):
        for place, text in enumerate(texts):
            progress("prompts", place, len(texts))
            conditionings[text] = encoder.conditioning(text)
        try:
            with HostDenoiser(job.model, conditionings, job.sampling, job.shapes) as denoiser:
                if job.settings.checkpointing:
                    denoiser.save_memory()
                return _run(job, denoiser, progress)
        except Exception as error:
            raise_unless_out_of_memory(error)
            return _Full(None)


def _fitting(lesson: Lesson, encoder: ClipEncoder) -> Lesson:
    """A lesson without variants that are too long for the encoder, where the prompt itself is not."""

    def fits(text: str) -> bool:
        try:
            encoder.tokens(text)
        except ScaPreError:
            return False
        return True

    kept = (
        tuple(text if fits(text) else prompt for text in variants)
        for prompt, variants in zip(lesson.prompts, lesson.variants, strict=True)
    )
    return replace(lesson, variants=tuple(kept))


def _run(job: Job, denoiser: HostDenoiser, progress: HostProgress) -> Finished | _Full:
    trained = make(job.shapes, job.settings.rank, job.seed)
    trainer = Trainer(denoiser, trained, job.lessons, job.held, job.settings, job.seed)
    if job.resume is not None:
        trainer.resume(job.resume)
    begun, first = time.monotonic(), trainer.done
    preview = Preview(denoiser, job.lessons[0].prompts[0], job.settings.guidance, job.seed)

    def told(done: int, loss: float) -> None:
        left = (time.monotonic() - begun) / (done - first) * (job.settings.iterations - done)
        progress.say(f"{done} of {job.settings.iterations}, loss {loss:.3g}, {_clock(left)} left")
        if job.preview_every and (done % job.preview_every == 0 or done == job.settings.iterations):
            progress.show(preview.draw(trained, job.model.model.latent_format))

    stopped = None
    try:
        trainer.run(progress, told)
    except (management.InterruptProcessingException, Exception) as error:
        if any(said in str(error) for said in _WITHOUT_GRADIENTS):
            raise ScaPreError(
                f"model: ComfyUI computes {type(job.model.model.model_config).__name__} models in a way that no "
                "gradients can be taken through, so they cannot be trained. Use Erase Concepts."
            ) from error
        if trainer.done == first:
            raise
        if is_out_of_memory(error):
            return _Full(trainer.payload())
        stopped = error
    return Finished(trainer.payload(), job.settings, _notes(trainer, job, stopped is not None), stopped)


def _notes(trainer: Trainer, job: Job, stopped: bool) -> tuple[str, ...]:
    found = []
    if losses := trainer.losses:
        few = max(1, len(losses) // 10)
        first, last = (sum(some) / few for some in (losses[:few], losses[-few:]))
        found.append(f"the loss went from {first:.3g} to {last:.3g}, each the mean of {few} iterations")
    if trainer.diverged:
        found.append(
            f"the numbers were no longer finite after iteration {trainer.done}; what was trained until then is kept. "
            "Take a smaller learning_rate"
        )
    if stopped:
        found.append(f"stopped after {trainer.done} of {job.settings.iterations} iterations")
    return tuple(found)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
