"""What the evaluation keeps: pictures belong to the weights that drew them, not to the name of a method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pack.benchmarks.minicanvas import checkpoint, inprocess, judge
from pack.benchmarks.minicanvas.evaluate import Evaluation
from pack.benchmarks.minicanvas.inprocess import Loaded
from pack.benchmarks.minicanvas.questions import Check, Question
from pack.benchmarks.minicanvas.tasks import Task
from pack.scapre.methods.scapre import PRESETS, ScaPre

TASK = Task(
    "one object/test",
    "object",
    "development",
    ("star",),
    (
        Question("a red star", (Check("erase", "object", "star"),)),
        Question("a blue fish", (Check("in", "object", "fish"),)),
    ),
)


@pytest.fixture(scope="module")
def loaded() -> Iterator[Loaded]:
    """The model, in this process."""
    import comfy.model_management

    yield inprocess.load(checkpoint.shipped())
    comfy.model_management.unload_all_models()


class Counting(Evaluation):
    """Counts the pictures that are drawn."""

    drawn = 0

    def draw(self, model: Any, prompts: Sequence[tuple[str, int]]) -> Any:
        self.drawn += len(prompts)
        return super().draw(model, prompts)


def asked(loaded: Loaded, folder: Path, inputs: Mapping[str, str] | None) -> int:
    """Ask the task's questions; return how many pictures that took."""
    fresh = Counting(loaded, judge.load(checkpoint.JUDGE), folder, "test")
    answers = fresh.ask("method", {"object": inputs} if inputs else {}, TASK)
    assert answers.pictures.shape == (2, 64, 64, 3)
    return fresh.drawn


def test_pictures_are_drawn_once_for_each_edit(loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precise = {"preset": "objects-few"}
    assert [asked(loaded, tmp_path, inputs) for inputs in (None, precise, {"preset": "objects-many"})] == [2, 2, 2]
    assert [asked(loaded, tmp_path, inputs) for inputs in (None, precise, {**precise, "anchor": ""})] == [0, 0, 0]
    # The same inputs, but the method's own numbers have changed.
    for name, pictures in {"objects-many": 0, "confusable": 2}.items():  # of the first, they are there already
        monkeypatch.setattr(ScaPre, "presets", {**PRESETS, "objects-few": PRESETS[name]})
        assert asked(loaded, tmp_path, precise) == pictures
