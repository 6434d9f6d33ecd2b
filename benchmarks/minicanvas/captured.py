"""Values edited inside MiniCanvas-DiT's double blocks, on text states caught there while it draws: an ablation.

Behind `txt_in` a text's states change with the picture and the step, so they are caught on short trajectories, one for
each text, and every block has moments and a matrix B of its own, as `auto` has one for what `txt_in` reads. Only rows
that read text alone are edited: those of the values in `txt_attn.qkv`. Development names; see `TABLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from . import report
from .evaluate import Evaluation, _digest, _Edited, run
from .inprocess import SAMPLING, Loaded, edited_weights, encode, erase, pack, pooled, sample
from .methods import Settings
from .questions import VERSION, Sizes
from .tasks import Task, split_tasks

ROWS = ("one style", "one object")
SIZES = Sizes(16, 12, 2)
BLOCKS = (0, 1, 2)
WORDS = {"method": "auto", "pooled": "off"}
BOTH = {"method": "auto", "pooled": "auto"}

Inputs = Mapping[str, Any] | None
# What Erase Concepts is given before, or None; the double blocks whose values are edited; steps of a trajectory.
TABLE: Mapping[str, tuple[Inputs, tuple[int, ...], int]] = {
    "no edit": (None, (), 0),
    "words": (WORDS, (), 0),
    "words and pooled vector": (BOTH, (), 0),
    "caught in the first block, 3 steps": (None, (0,), 3),
    "caught in the last block, 3 steps": (None, (2,), 3),
    "caught in all blocks, 1 step": (None, BLOCKS, 1),
    "caught in all blocks, 3 steps": (None, BLOCKS, 3),
    "words, and caught in all blocks, 3 steps": (WORDS, BLOCKS, 3),
    "words and pooled vector, and caught in all blocks, 3 steps": (BOTH, BLOCKS, 3),
}


class Caught:
    """What enters `txt_attn.qkv` of each double block at each step, (blocks, steps, tokens, width), by text."""

    def __init__(self, loaded: Loaded, model: Any, steps: int) -> None:
        """Takes what draws, and for how many steps."""
        self._loaded, self._model, self._steps = loaded, model, steps
        self._held: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """The states of some texts, (texts, blocks, steps, tokens, width)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._held]
        if new:
            self._held |= dict(zip(new, self._drawn(new), strict=True))
        return torch.stack([self._held[text] for text in texts])

    def _drawn(self, texts: Sequence[str]) -> Tensor:
        states, vectors = encode(self._loaded.clip, ["", *texts]), pooled(self._loaded.clip, ["", *texts])
        with _watched(self._model) as seen:
            sampling = replace(SAMPLING, steps=self._steps, cfg=1.0)
            sample(self._model, states[1:], states[:1], [1] * len(texts), sampling, vectors)
        parts = []
        for caught in seen:  # batches, and in each of them the steps
            batches = [torch.stack(caught[i : i + self._steps], 1) for i in range(0, len(caught), self._steps)]
            parts.append(torch.cat(batches))
        return torch.stack(parts, 1)


@contextmanager
def _watched(model: Any) -> Iterator[list[list[Tensor]]]:
    blocks = model.model.diffusion_model.double_blocks
    seen: list[list[Tensor]] = [[] for _ in blocks]
    handles = [
        block.txt_attn.qkv.register_forward_pre_hook(lambda _, inputs, i=i: seen[i].append(inputs[0].float().clone()))
        for i, block in enumerate(blocks)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


class Reading:
    """One block at one step as a text encoder; its tokens are CLIP's."""

    def __init__(self, caught: Caught, clip: Any, block: int, step: int) -> None:
        """Takes what was caught, and where."""
        self._caught, self._block, self._step = caught, block, step
        self.tokens = clip.tokens

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """See the engine's `Encoder`."""
        return self._caught(texts)[:, self._block, self._step, :length]

    def remembered(self, _: str, make: Callable[[], Tensor]) -> Tensor:
        """Nothing is kept."""
        return make()


def with_values(
    loaded: Loaded, model: Any, concepts: Sequence[str], blocks: Sequence[int], steps: int, caught: Caught
) -> Any:
    """A MODEL whose double blocks answer concepts like their kin, as far as their values read text alone."""
    auto, contexts, kin, study = (
        pack(f"scapre.methods.auto.{name}") for name in ("moments", "contexts", "kin", "study")
    )
    solution, kinds = (pack(f"scapre.methods.auto.{name}") for name in ("solution", "kinds"))
    parsed = pack("scapre.concepts.concepts").parse_concepts("\n".join(concepts)).concepts
    clip = pack("nodes.host.text_encoder").ClipEncoder(loaded.clip)
    found = kin.find_kin(clip, parsed, (), kinds.kind_of("any", parsed))
    edited = model.clone()
    for block in blocks:
        readings = [Reading(caught, clip, block, step) for step in range(steps)]
        read = partial(study.study, concepts=parsed, preserve=(), kin=found, wordings=contexts.Wordings.of(""))
        moments = auto.together([read(reading, progress=lambda *_: None) for reading in readings])
        null = caught([""])[0, block].flatten(0, 1).double()
        _, sizes, directions = torch.linalg.svd(null, full_matrices=False)
        held = directions[sizes > 1e-6 * sizes[0]][: len(moments.way) // 4].T
        reach = solution.reach_of(moments, solution.harm(moments, 10.0, 100.0))
        change = reach * solution.constrained(moments.way, moments.metric(10.0, 100.0), held)
        name = f"diffusion_model.double_blocks.{block}.txt_attn.qkv.weight"
        weight = model.model.state_dict()[name].double()
        rows = len(weight) // 3
        delta = torch.zeros_like(weight)
        delta[2 * rows :] = weight[2 * rows :] @ change
        edited.add_patches({name: ("diff", (delta.float(),))})
    return edited


class CaughtEvaluation(Evaluation):
    """An evaluation of one row of the table."""

    def of(self, inputs: Inputs, blocks: Sequence[int], steps: int) -> CaughtEvaluation:
        """Sets the row."""
        self._row, self._known = (inputs, blocks, steps), {}
        self._caught: dict[int, Caught] = getattr(self, "_caught", {})  # by the original model, for every task
        return self

    def _model(self, _: Settings | None, task: Task) -> _Edited:
        inputs, blocks, steps = self._row
        if task.concepts not in self._known:
            with torch.inference_mode():
                model = erase(self.loaded, task.concepts, inputs) if inputs else self.loaded.model
                if blocks:
                    own = Caught(self.loaded, model, steps)
                    caught = own if inputs else self._caught.setdefault(steps, own)
                    model = with_values(self.loaded, model, task.concepts, blocks, steps, caught)
            weights = edited_weights(model) if inputs else {}
            for name, patches in model.patches.items():
                if "qkv" in name:
                    weights[name] = patches[0][1][1][0]
            self._known[task.concepts] = _Edited(model, _digest(weights) if weights else "", 0.0)
        return self._known[task.concepts]


def tasks() -> list[Task]:
    """What every row is asked."""
    found = split_tasks("development", SIZES, 0)
    return [task for task in found if report.group(task.name, task.kind) in ROWS]


def measure(evaluation: CaughtEvaluation, tell: Callable[[str], None]) -> dict[str, Any]:
    """The rows' figures."""
    found = {}
    for name, row in TABLE.items():
        found[name] = report.as_json(run(evaluation.of(*row), f"caught {name}", {}, tasks(), tell))["rows"]
        tell(f"{name}: {found[name]}")
    return {"version": VERSION, "rows": found}


def table(found: Mapping[str, Any]) -> str:
    """A Markdown table of the rows."""
    columns = ("UA", "IRA", "CRA", "beside", "H")
    lines = [f"| edited | task | {' | '.join(columns)} | distance |", f"|---|---|{'--:|' * (len(columns) + 1)}"]
    for name, rows in found["rows"].items():
        for row in ROWS:
            cells = " | ".join(f"{rows[row][column][0]:.2f}" for column in columns)
            lines.append(f"| {name} | {row} | {cells} | {rows[row]['distance']:.1f} |")
    return "\n".join(lines)
