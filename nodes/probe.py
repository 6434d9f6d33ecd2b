"""Probe: asks the model itself what an edit has left of a name, and what it has done to others."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from comfy_api.latest import io, ui

from ..scapre.concepts.concepts import parse_concepts, parse_preserve
from ..scapre.errors import ScaPreError, shorten
from ..scapre.probe import Asked, wordings_of
from ..scapre.probe.report import render, scores
from .host.attack import ATTACKS, STATES, WORDS, attack, check_attack, reads_clip, words_like
from .host.probe import HostModels, side_of
from .host.progress import PROBE_STAGES, HostProgress
from .host.sampling import Sampling, check_models
from .host.steps import SAMPLERS
from .inputs.settings import check_whole
from .inputs.types import CATEGORY, SCHEDULER, names_input, preserve_input, scheduler_input, seed_input, size_input
from .pictures.probe import draw_probe
from .pictures.tensors import batch_of_one
from .pictures.themes import THEMES

MOST_NAMES, MOST_SEEDS = 200, 16
_POINTS = "20, 35, 50"
_WIDTH = 768
_NOTHING = (
    "Not attacked: no weight that reads the text differs between the two models, so there are no states to look for"
)


class Probe(io.ComfyNode):
    """Compares what two models predict for prompts with names and without."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="ScaPreProbe",
            display_name="Probe",
            category=CATEGORY,
            description="Asks the original and the edited model the same prompts at the same half-finished pictures: "
            "how much of each name is left in the edited one's predictions, and how far everything else has moved.",
            search_aliases=[
                *("test", "check", "verify", "measure", "score", "evaluate", "metric", "is it gone", "compare"),
                *("leftover", "remaining", "erase", "concept erasure", "scapre"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=_inputs(),
            outputs=[
                io.String.Output(display_name="report", tooltip="What is left of each name, as Markdown."),
                io.Image.Output(display_name="image", tooltip="The same as a picture of bars."),
                io.String.Output(display_name="scores", tooltip="The same as JSON, for other nodes and programs."),
            ],
        )

    @classmethod
    def execute(
        cls,
        original: Any,
        edited: Any,
        clip: Any,
        names: str,
        preserve: str = "",
        steps: int = 12,
        look_at: str = _POINTS,
        cfg: float = 7.0,
        seed: int = 0,
        seeds: int = 1,
        wordings: str = "",
        size: int = 0,
        sampler_name: str = "euler",
        scheduler: str = SCHEDULER,
        attacks: str = "off",
    ) -> io.NodeOutput:
        """Draws with the original, asks both, and reports."""
        check_whole(cls, steps=steps, seeds=seeds, size=size)
        erased = read_names(names)
        stays = parse_preserve(preserve, parse_concepts(names).concepts) if preserve.strip() else ()
        asked, at = wordings_of(wordings), read_points(look_at, steps)
        check_models(original, edited, clip)
        side = size or side_of(original)
        sampling = Sampling(seed, steps, cfg, sampler_name, scheduler, side, side)
        began, progress = time.perf_counter(), HostProgress(getattr(cls.hidden, "unique_id", None), PROBE_STAGES)
        if attacks in STATES:
            check_attack(original)
        models = HostModels(original, edited, clip, sampling, at)
        bases = [wording.base for wording in asked]
        related = words_like(erased, [*stays, *bases]) if attacks in WORDS and reads_clip(original) else ()
        everyone = [seed + number for number in range(seeds)]
        questions = Asked(models, [*erased, *related], stays, asked, everyone, progress)
        found, notes = questions.against(progress), list[str]()
        rows = [replace(row, role="related") if row.name in related else row for row in found.rows]
        if attacks in STATES:
            prompts = {text for name in erased for wording in asked for text in (wording.fill(name), wording.base)}
            if attack(models, original, edited, prompts):
                called = questions.against(progress, stays=False).rows
                rows += [replace(row, role="attacked") for row in called if row.name in erased]
            else:
                notes.append(_NOTHING)
        found = replace(found, rows=tuple(rows), predictions=questions.predictions)
        progress("report", 1, 1)
        counted = f"seed {seed}" if seeds == 1 else f"{seeds} seeds from {seed}"
        took = f"{found.predictions:,} predictions, {time.perf_counter() - began:.1f} s; {counted}"
        image = batch_of_one(draw_probe(found, _WIDTH, next(iter(THEMES))))
        return io.NodeOutput(render(found, [took, *notes]), image, scores(found), ui=ui.PreviewImage(image, cls=cls))


def read_names(text: str) -> tuple[str, ...]:
    """Names of a list, without their anchors.

    Raises:
        ScaPreError: If there is none, or too many.
    """
    if not text.strip():
        raise ScaPreError("names: there are none. Type at least one name to look for, one per line.")
    found = tuple(concept.text for concept in parse_concepts(text).concepts)
    if len(found) > MOST_NAMES:
        raise ScaPreError(f"names: {len(found):,} are more than one probe asks for ({MOST_NAMES}). Take some of them.")
    return found


def read_points(text: str, steps: int) -> list[int]:
    """The steps that are so many percent of the way.

    Raises:
        ScaPreError: If one is no number from 0 to less than 100, or there is none.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            share = float(part.removesuffix("%"))
        except ValueError:
            share = -1.0
        if not 0 <= share < 100:
            raise ScaPreError(
                f"look_at: {shorten(part)} is outside of the way from noise to picture. Give percentages from 0 to "
                f"less than 100, such as {_POINTS}."
            )
        found.append(int(share * steps / 100))
    if not found:
        raise ScaPreError(f"look_at: it is empty. Give percentages of the way, such as {_POINTS}.")
    return sorted(set(found))


def _inputs() -> list[io.Input]:
    return [
        io.Model.Input("original", tooltip="The model without the edit; it draws the pictures that both are asked at."),
        io.Model.Input("edited", tooltip="The model with the edit, or with any other change, such as a LoRA."),
        io.Clip.Input("clip", tooltip="The text encoder of the model; it reads the prompts for both."),
        names_input(
            "names",
            "names that should be gone, one per line",
            "Names to look for in the edited model's predictions, one per line. What is after an arrow is left out.",
        ),
        preserve_input("Names that should be as before, one per line. How far their predictions moved is measured."),
        io.Int.Input("steps", default=12, min=2, max=200, optional=True, tooltip="Steps of the pictures."),
        io.String.Input(
            "look_at",
            default=_POINTS,
            dynamic_prompts=False,
            optional=True,
            tooltip="Where on the way from noise to picture the models are asked, in percent, with commas between.",
        ),
        io.Float.Input(
            "cfg", default=7.0, min=0.0, max=100.0, step=0.1, round=0.01, optional=True,
            tooltip="How closely the pictures follow the prompts. 1 for models that are made for it.",
        ),
        seed_input("Seed of the first picture of each name. The same seed gives the same figures."),
        io.Int.Input(
            "seeds", default=1, min=1, max=MOST_SEEDS, optional=True, advanced=True,
            tooltip="Pictures for each name. More take longer and vary less.",
        ),
        io.String.Input(
            "wordings", default="", dynamic_prompts=False, optional=True, advanced=True,
            tooltip="Prompts to ask with, parted by ; with NAME for the name. Each is compared with itself without it. "
            "Empty: the name alone, as a picture, as a style, and in other words.",
        ),
        size_input("Side of the pictures in pixels."),
        io.Combo.Input(
            "sampler_name", options=SAMPLERS, default="euler", optional=True, advanced=True,
            tooltip="The sampling algorithm of the pictures, of those that neither add noise nor look back.",
        ),
        scheduler_input(),
        io.Combo.Input(
            "attacks", options=list(ATTACKS), default="off", optional=True,
            tooltip="words: also asks for words that CLIP answers like the names. states: also asks with the states of "
            "the text that make the edited model answer most as the original did (RECE's closed form).",
        ),
    ]  # fmt: skip
