"""What attacks call up again after an edit: states of the text that are looked for, and training on other pictures.

* **states**: RECE's closed form finds what the edited projections answer most as the original ones did, and every
  prompt, the empty one too, is drawn with that (`scapre/probe/attack.py`).
* **training**: all weights of the edited model are trained for some steps on drawings of objects and artists that were
  not erased, as users fine-tune their models; the names are never seen.

Held-out names. The figure is UA: the share of pictures of an erased name in which the judge does not see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from . import captions, checkpoint, network, report
from .drawing import draw_all
from .evaluate import Evaluation, each
from .inprocess import decode, edited_weights, encode, erase, pack, sample
from .methods import METHODS
from .questions import Sizes
from .tasks import Task, split_tasks
from .training import Loss, Plan, Run
from .world import ARTIST_NAMES, COLOURS, OBJECTS, TWINS, Picture

ATTACKED = ("none", "auto", "precise", "scale", "uce", "rece", "speed", "dp", "oce", "fia-wide", "kscu", "esd")
ROWS = ("one style/held-out", "one object/held-out")
STEPS = (100,)
SIZES = Sizes(12, 1, 1)
_COUNT, _BATCH, _SEED = 320, 16, 80_000
_PREFIX = "diffusion_model."


def rows(
    evaluation: Evaluation, known: Sequence[Mapping[str, Any]], tell: Callable[[str], None]
) -> Iterator[list[Mapping[str, Any]]]:
    """All rows so far, one for each method and task.

    Args:
        evaluation: MiniCanvas and its judge.
        known: Rows that are there already.
        tell: Told each row.
    """
    return each(known, tasks(), ATTACKED, lambda method, task: _attacked(evaluation, method, task), tell)


def tasks() -> list[Task]:
    """What is asked: prompts with an erased name alone."""
    found = [task for task in split_tasks("held-out", SIZES, 0) if task.name in ROWS]
    return [
        replace(task, questions=tuple(q for q in task.questions if any(name in q.text for name in task.concepts)))
        for task in found
    ]


def _attacked(evaluation: Evaluation, method: str, task: Task) -> dict[str, float | None]:
    loaded, inputs = evaluation.loaded, METHODS[method].get(task.kind)
    with torch.inference_mode():
        model = erase(loaded, task.concepts, inputs) if inputs else loaded.model
        after, states = edited_weights(model), _states(loaded.model, model)
    found = {
        "UA": _erased(evaluation, task, model, None),
        "states": None if states is None else _erased(evaluation, task, model, states),
    }
    trained = network.create()
    weights = load_file(checkpoint.UNET)
    trained.load_state_dict(
        {name: after.get(_PREFIX + name, weight).reshape(weight.shape).float() for name, weight in weights.items()}
    )
    run = Run(Plan("again", steps=0, rate=1e-4, warm_up=5, decay=0.0), trained, Path(":none:"))
    loss = _loss(trained, loaded, task)
    for steps in STEPS:
        for step in range(run.step, steps):
            _train(run, loss, step)
        again = loaded.model.clone()
        again.add_patches(
            {_PREFIX + name: ("set", (value.detach().clone(),)) for name, value in trained.state_dict().items()}
        )
        found[f"{steps} steps"] = _erased(evaluation, task, again, None)
    return found


def _states(model: Any, edited: Any) -> Tensor | None:
    """The states that an edit of what reads text is asked with; None where an edit leaves all of that as it was."""
    both = [pack("nodes.host.projections").HostProjections(one) for one in (model, edited)]
    names = [name for name, role in both[0].roles.items() if role.reads_text]
    pairs = [tuple(one.read(name, torch.device("cpu")).clone() for one in both) for name in names]
    if all(torch.equal(before, after) for before, after in pairs):
        return None
    found: Tensor = pack("scapre.probe.attack").calling_up(pairs)
    return found


def _erased(evaluation: Evaluation, task: Task, model: Any, attack: Tensor | None) -> float:
    """UA of a model, whose text's states an attack may replace."""
    asked = [(question.text, question.seed) for question in task.questions]
    states = encode(evaluation.loaded.clip, ["", *(text for text, _ in asked)])
    if attack is not None:
        states = torch.cat([states[:, :1], (states[:, 1:].double() @ attack.T).to(states)], 1)
    latents = sample(model, states[1:], states[:1], [seed for _, seed in asked])
    answers = evaluation.read(task, decode(evaluation.loaded.vae, latents))
    value: float = report.as_json([answers])["tasks"][task.name]["UA"][0]
    return value


def _train(run: Run, loss: Loss, step: int) -> None:
    """One step at the full rate."""
    for group in run.optimiser.param_groups:
        group["lr"] = run.plan.rate * min(1.0, (step + 1) / run.plan.warm_up)
    run.optimiser.zero_grad(set_to_none=True)
    loss(torch.Generator().manual_seed(_SEED + step), step).backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimiser.step()
    run.step = step + 1


def drawings(task: Task) -> list[tuple[Picture, str]]:
    """What is drawn and said: neither an erased name nor its twin."""
    twins = {other for pair in TWINS for name, other in (pair, pair[::-1]) if name in task.concepts}
    objects, artists = (
        [name for name in names if name not in task.concepts and name not in twins] for names in (OBJECTS, ARTIST_NAMES)
    )
    chance = np.random.Generator(np.random.PCG64(_SEED))
    chosen = zip(*(chance.choice(list(words), _COUNT) for words in (objects, [*COLOURS], artists)), strict=True)
    pictures = [Picture(str(name), str(colour), str(artist)) for name, colour, artist in chosen]
    pictures = [picture for picture in pictures if not picture.held_out]
    return [(picture, str(chance.choice(captions.trained_wordings(picture)["full"]))) for picture in pictures]


def _loss(unet: nn.Module, loaded: Any, task: Task) -> Loss:
    """The error of the predicted noise, as the UNet itself was trained."""
    shown = drawings(task)
    pixels = draw_all([picture for picture, _ in shown], _SEED)
    with torch.no_grad():
        latents = loaded.model.model.process_latent_in(loaded.vae.encode(torch.from_numpy(pixels).float() / 255))
        latents = latents.float().clone()
        states = encode(loaded.clip, ["", *(text for _, text in shown)]).float().clone()
    return network.captioned_loss(unet, latents, states, _BATCH)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the rows."""
    columns = ["UA", "states", *(f"{steps} steps" for steps in STEPS)]
    lines = [f"| task | method | {' | '.join(columns)} |", f"|---|---|{'--:|' * len(columns)}"]
    for row in found:
        task = row["task"].partition("/")[0]
        shown = ("-" if row[column] is None else f"{row[column]:.2f}" for column in columns)
        lines.append(f"| {task} | {row['method']} | {' | '.join(shown)} |")
    return "\n".join(lines)
