"""Runs a training in the host: out of inference mode, with the host's progress, previews and Cancel."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management as management
import torch

from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError
from ...scapre.methods.kscu.factors import make
from ...scapre.methods.kscu.prompts import Lesson
from ...scapre.methods.kscu.train import Trainer
from ...scapre.methods.payload import Payload
from ...scapre.solve import Request
from .denoiser import HostDenoiser
from .device import raise_unless_out_of_memory
from .memory import check_memory, free
from .preview import Preview
from .progress import HostProgress
from .projections import HostProjections
from .sampling import Sampling
from .text_encoder import ClipEncoder

log = logging.getLogger("scapre")

_FREE = ("iterations", "learning_rate", "checkpointing")  # settings that may change where a run goes on


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
        notes: What the user should know.
        interrupted: The host's exception, if the user has cancelled.
    """

    payload: Payload
    notes: tuple[str, ...]
    interrupted: BaseException | None = None


def train(job: Job, progress: HostProgress) -> Finished:
    """Trains until it is done or cancelled; where memory does not suffice, with less of it, once.

    Raises:
        ScaPreError: See `HostDenoiser`, `Trainer` and `check_memory`.
        BaseException: The host's, where the user cancels before the first iteration is done.
    """
    needed = check_memory(job.model, job.shapes, job.settings.rank)
    progress.say(f"Training needs {needed}")
    log.info("training needs %s", needed)
    try:
        return _train(job, progress)
    except Exception as error:
        raise_unless_out_of_memory(error)
    settings, told = _smaller(job)
    management.soft_empty_cache()
    log.warning("not enough memory for an iteration; trying again with %s", told)
    try:
        return _train(replace(job, settings=settings), progress)
    except Exception as error:
        raise_unless_out_of_memory(error)
        device = job.model.load_device
        raise ScaPreError(
            f"model: an iteration does not fit into the memory of {device} ({free(device):.2f} GB free), not even with "
            f"{told}. Take a smaller size or rank, or load the model in fp16 or bf16."
        ) from None


def _smaller(job: Job) -> tuple[Any, str]:
    """Settings that take less memory for an iteration, and what they are."""
    batch = job.settings.batch
    told = "gradient checkpointing" if batch == 1 else f"gradient checkpointing and a batch of {batch // 2}"
    return replace(job.settings, batch=max(1, batch // 2), checkpointing=True), told


def _train(job: Job, progress: HostProgress) -> Finished:
    encoder = ClipEncoder(job.clip)
    job = replace(job, lessons=tuple(_fitting(lesson, encoder) for lesson in job.lessons))
    texts = [text for lesson in job.lessons for text in _texts(lesson)]
    with torch.inference_mode(False):
        conditionings = {text: encoder.conditioning(text) for text in dict.fromkeys(["", *texts, *job.held])}
        with HostDenoiser(job.model, conditionings, job.sampling, job.shapes) as denoiser:
            if job.settings.checkpointing:
                denoiser.save_memory()
            return _run(job, denoiser, progress)


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


def _texts(lesson: Lesson) -> list[str]:
    return [lesson.instead, *lesson.prompts, *(text for variants in lesson.variants for text in variants)]


def _run(job: Job, denoiser: HostDenoiser, progress: HostProgress) -> Finished:
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

    interrupted = None
    try:
        trainer.run(progress, told)
    except management.InterruptProcessingException as stopped:
        if trainer.done == first:
            raise
        interrupted = stopped
    return Finished(trainer.payload(), _notes(trainer, job, interrupted is not None), interrupted)


def _notes(trainer: Trainer, job: Job, stopped: bool) -> tuple[str, ...]:
    found = []
    if trainer.losses:
        found.append(f"the loss went from {trainer.losses[0]:.3g} to {trainer.losses[-1]:.3g}")
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


def check_resumed(edit: Edit, request: Request, projections: HostProjections) -> None:
    """Accepts an edit that this training can go on from.

    Raises:
        ScaPreError: If it is of another method, list, seed, model, or of other settings than may change.
    """
    if edit.method != request.method:
        raise ScaPreError(f"resume: it was made with the method {edit.described}. Connect an edit of Unlearn Concepts.")
    its, ours = ([(c.text, c.anchor) for c in one] for one in (edit.concepts, request.concepts.concepts))
    if (its, edit.preserve) != (ours, request.preserve):
        raise ScaPreError("resume: it was trained for other names. Give the same ones, in the same order.")
    if edit.seed != request.seed:
        raise ScaPreError(f"resume: it was trained with the seed {edit.seed}. Give the same one.")
    was, now = ({**vars(one), **dict.fromkeys(_FREE)} for one in (edit.settings, request.settings))
    other = sorted(key for key in now if now[key] != was[key])
    if other:
        told = ", ".join(f"{key} {was[key]}" for key in other)
        raise ScaPreError(f"resume: it was trained with {told}. Give the same.")
    apart = edit.difference(projections.samples(edit.shapes))
    if apart:
        raise ScaPreError(
            f"resume: it was trained on other weights than these (they differ by {apart:.2%}). Connect that model, "
            "without the edit itself."
        )
