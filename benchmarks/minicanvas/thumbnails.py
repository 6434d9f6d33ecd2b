"""The pictures of the example workflows in the template browser: before and after, on this model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .evaluate import Evaluation
from .inprocess import erase
from .neurons import WIDE, WORLD
from .unlearning import LEARNED

CELL, LINE = 256, 4


@dataclass(frozen=True)
class Thumbnail:
    """What is erased and shown.

    Attributes:
        concepts: what is erased.
        prompts: one for each row.
        inputs: of the node that erases.
        seed: of every picture.
    """

    concepts: Sequence[str]
    prompts: Sequence[str]
    inputs: Mapping[str, str | float | bool]
    seed: int = 1


THUMBNAILS = {
    "erase-a-style": Thumbnail(("Arlo Vane",), ("a blue house in the style of Arlo Vane",), {}),
    "erase-a-list-of-artists": Thumbnail(
        ("Arlo Vane", "Noor Rahman"),
        ("a red heart in the style of Arlo Vane", "a green fish in the style of Noor Rahman"),
        {},
    ),
    "erase-an-object-keep-its-neighbours": Thumbnail(("star",), ("a red star", "a red hexagram"), {}),
    "save-share-and-load-an-edit": Thumbnail(("Mina Okoro",), ("a cyan castle in the style of Mina Okoro",), {}),
    "erase-from-sdxl": Thumbnail(("Oskar Brandt",), ("an orange sun in the style of Oskar Brandt",), {}),
    "cut-the-neurons-of-a-style": Thumbnail(
        ("Arlo Vane",),
        ("a blue house in the style of Arlo Vane",),
        {**WORLD, **WIDE, "neurons.preset": "style"},
    ),
    "unlearn-a-style": Thumbnail(
        ("Arlo Vane",),
        ("a blue house in the style of Arlo Vane",),
        LEARNED,
    ),
    "is-it-gone": Thumbnail(("fish",), ("a green fish", "a green diamond"), {}),
    "erase-in-a-part-of-the-sampling": Thumbnail(
        ("moon",), ("a red moon", "a red arrow"), {"sampling.gate": "off", "sampling.end_percent": 0.8}
    ),
    "use-an-exported-lora": Thumbnail(("Noor Rahman",), ("a purple castle in the style of Noor Rahman",), {}),
}
"""By the name of the workflow; erased with the node's default preset."""


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write a picture for each workflow: left without, right with the edit."""
    written = []
    for name, shown in THUMBNAILS.items():
        asked = [(prompt, shown.seed) for prompt in shown.prompts]
        edited = erase(evaluation.loaded, shown.concepts, shown.inputs)
        before, after = (evaluation.draw(model, asked) for model in (evaluation.loaded.model, edited))
        sheet = Image.new("RGB", (2 * CELL + LINE, len(asked) * (CELL + LINE) - LINE), "white")
        for row, pair in enumerate(zip(before, after, strict=True)):
            for column, picture in enumerate(pair):
                large = Image.fromarray(np.asarray(picture)).resize((CELL, CELL), Image.Resampling.NEAREST)
                sheet.paste(large, (column * (CELL + LINE), row * (CELL + LINE)))
        written.append(folder / f"{name}.jpg")
        sheet.save(written[-1], quality=88)
    return written
