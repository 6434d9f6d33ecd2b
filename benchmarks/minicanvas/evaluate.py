"""Ask an edited model every question, read the answers, and keep both."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import checkpoint
from .artists import Array
from .drawing import draw_all
from .inprocess import (
    SAMPLING_WORD,
    Loaded,
    add_lora,
    apply_edit,
    decode,
    edited_weights,
    encode,
    erase,
    pooled,
    read_edit,
    sample,
)
from .judge import FEATURES, Judge, Reading, read
from .methods import FROM_FILE, LISTED, Settings, listed
from .questions import DRAWN
from .scores import compared
from .tasks import Task

DRAWING_SEED = 60_000


@dataclass(frozen=True)
class Answers:
    """What a method's pictures of one task show.

    Attributes:
        task: what was asked.
        pictures: (questions, side, side, 3) bytes.
        reading: what the judge saw in them.
        drawn: the judge's features of drawings of what `compared` questions ask for.
        seconds: sampling took, when it was done.
        edit_seconds: solving took.
    """

    task: Task
    pictures: Array
    reading: Reading
    drawn: Tensor
    seconds: float
    edit_seconds: float


@dataclass(frozen=True)
class _Edited:
    """A model, a digest of the weights that its edit gives ("": it has none), and the seconds that solving took."""

    model: Any
    weights: str
    seconds: float


def _digest(weights: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        found.update(name.encode())
        found.update(weight.numpy().tobytes())
    return found.hexdigest()


def _file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Evaluation:
    """One model and its judge; what was sampled is kept in a folder, task by task, and never sampled again.

    Pictures are kept by the edited weights and not by the method's name, so code that edits otherwise samples anew.
    """

    def __init__(self, loaded: Loaded, judge: Judge, folder: Path, model_version: str) -> None:
        self.loaded, self.judge = loaded, judge
        self.folder = folder / f"{model_version}-{DRAWN}"
        self._states: dict[str, Tensor] = {}
        self._vectors: dict[str, Tensor] = {}
        self._edited: tuple[str, _Edited] | None = None

    def _sampled(self, method: str, edited: _Edited, task: Task) -> tuple[Array, float, float]:
        asked = [(question.text, question.seed) for question in task.questions]
        parts = [edited.weights, asked, *([_file_digest(checkpoint.LORA)] if task.lora else [])]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        name = re.sub("[^a-z0-9]+", "-", task.name.lower())
        file = self.folder / method / f"{name}-{key[:12]}.npz"
        if not file.is_file():
            began = time.perf_counter()
            model = add_lora(edited.model, checkpoint.LORA) if task.lora else edited.model
            pictures = self.draw(model, asked)
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(".part.npz")
            seconds = time.perf_counter() - began
            np.savez_compressed(unfinished, pictures=pictures, seconds=seconds, solving=edited.seconds)
            unfinished.replace(file)
        with np.load(file) as kept:
            return kept["pictures"], float(kept["seconds"]), float(kept["solving"])

    def draw(self, model: Any, prompts: Sequence[tuple[str, int]]) -> Array:
        """Return the pictures that a model makes of (prompt, seed)."""
        texts, seeds = [text for text, _ in prompts], [seed for _, seed in prompts]
        states, vectors = self._encode(["", *texts])
        return decode(self.loaded.vae, sample(model, states[1:], states[:1], seeds, vectors=vectors))

    def _encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        new = [text for text in dict.fromkeys(texts) if text not in self._states]
        if new:
            self._states |= dict(zip(new, encode(self.loaded.clip, new), strict=True))
            if self.loaded.pooled:
                self._vectors |= dict(zip(new, pooled(self.loaded.clip, new), strict=True))
        vectors = torch.stack([self._vectors[text] for text in texts]) if self.loaded.pooled else None
        return torch.stack([self._states[text] for text in texts]), vectors

    def _model(self, inputs: Settings | None, task: Task) -> _Edited:
        if inputs is None:
            return _Edited(self.loaded.model, "", 0.0)
        kept = listed(task, inputs)
        plain = {name: value for name, value in inputs.items() if name != LISTED}
        key = json.dumps([plain, task.concepts, kept])
        if self._edited is None or self._edited[0] != key:
            began = time.perf_counter()
            if FROM_FILE in inputs:
                model = apply_edit(self.loaded, read_edit(Path(inputs[FROM_FILE])))
            else:
                model = erase(self.loaded, task.concepts, {**plain, "preserve": ", ".join(kept)})
            seconds = time.perf_counter() - began
            # What is done while sampling is in no weight.
            more = key if any(name.startswith(SAMPLING_WORD) for name in inputs) else ""
            self._edited = key, _Edited(model, _digest(edited_weights(model)) + more, seconds)
        return self._edited[1]

    def forget(self) -> None:
        """Solve the next edit anew, since the code that does it has changed."""
        self._edited = None

    def ask(self, method: str, settings: Mapping[str, Settings], task: Task) -> Answers:
        """Ask the questions of a task."""
        return self.read(task, *self._sampled(method, self._model(settings.get(task.kind), task), task))

    def ask_model(self, method: str, model: Any, task: Task) -> Answers:
        """Ask the questions of a task of a model that is there, whose weights are edited."""
        return self.read(task, *self._sampled(method, _Edited(model, _digest(edited_weights(model)), 0.0), task))

    def read(self, task: Task, pictures: Array, seconds: float = 0.0, solving: float = 0.0) -> Answers:
        """Let the judge read a task's pictures."""
        shown = [question.shows for question in task.questions if compared(question) and question.shows]
        drawn = read(self.judge, draw_all(shown, DRAWING_SEED)).features if shown else torch.empty(0, FEATURES)
        return Answers(task, pictures, read(self.judge, pictures), drawn, seconds, solving)


def run(
    evaluation: Evaluation,
    method: str,
    settings: Mapping[str, Settings],
    tasks: Sequence[Task],
    tell: Callable[[str], None],
) -> list[Answers]:
    """Go through all tasks, those of one edit after each other; return the answers in the tasks' order."""
    found: dict[str, Answers] = {}
    for done, task in enumerate(sorted(tasks, key=lambda task: (task.kind, task.concepts))):
        tell(f"{method}: {done + 1}/{len(tasks)} {task.name}")
        found[task.name] = evaluation.ask(method, settings, task)
    return [found[task.name] for task in tasks]


def each(
    known: Sequence[Mapping[str, Any]],
    tasks: Sequence[Task],
    methods: Sequence[str],
    measure: Callable[[str, Task], Mapping[str, Any]],
    tell: Callable[[str], None],
) -> Iterator[list[Mapping[str, Any]]]:
    """All rows of a study so far, one for each method and task, after each new one.

    Args:
        known: Rows that are there already.
        tasks: What is asked.
        methods: Of whom.
        measure: Gives the figures of one.
        tell: Told each row.
    """
    found = list(known)
    there = {(row["method"], row["task"]) for row in known}
    for task in tasks:
        for method in methods:
            if (method, task.name) not in there:
                tell(f"{method}: {task.name}")
                found.append({"method": method, "task": task.name, **measure(method, task)})
                yield found
