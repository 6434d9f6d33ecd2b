"""FIA, Forget-It-All (arXiv 2601.06163, ICML 2026): the weights that answer a concept while a model draws are cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ...errors import ScaPreError, some
from ...families import Projections, Role, having
from ...states.token_states import Reads
from ..change import Change
from ..method import Fit, Held, Method, Problem
from ..payload import Kind, Layout, Payload, Tensors
from ..settings import MethodSettings, Preset, choice, number, text
from . import lists
from .prompts import SETTINGS
from .selection import fuse

_MUCH = 0.05
"""Share of a layer that is cut, beyond which the user is warned."""
_FEW = 6


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of FIA. The defaults are those of the paper for objects."""

    neuron_ratio: float = number(
        0.01, "r2, how many weights of a row and of a matrix may answer a concept at most.", 1e-5, 0.5, step=0.005
    )
    agnostic_ratio: float = number(
        0.6, "α, the share of the concepts that a weight must answer to be nobody's own, so that it stays.", 0, 1,
        step=0.05,
    )  # fmt: skip
    persistence_ratio: float = number(
        0.05, "r1, how many weights of a matrix count as answering at one step.", 1e-4, 0.5, step=0.01
    )
    cfg: float = number(7.5, "How closely the pictures follow the prompts (CFG).", 1, 30, step=0.5)
    pairs: int = number(30, "Pictures of a concept, each compared with one without it.", 2, 200)
    steps: int = number(50, "Steps of a whole picture.", 1, 1000)
    recorded: int = number(10, "Steps that are drawn and watched, from the first.", 1, 1000)
    size: int = number(0, "Side of a picture in pixels. 0: as the model family is used to.", 0, 4096, step=8)
    kind: str = choice("object", tuple(SETTINGS), "What the names are, for the prompts in which they are drawn.")
    saliency: str = choice(
        "exact",
        ("exact", "released"),
        "exact: Eq. 1 of the paper. released: what its code does, without the cosine and with positions of length 1.",
    )
    words: str = text(
        "Everyday words to draw the names among, parted by ; as in: kitchen; street. Empty: those that come with "
        "the kind."
    )
    sampler_name: str = text("Name of the host's sampler.")
    scheduler: str = text("Name of the host's scheduler.")

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ScaPreError: For a value outside its range, or more steps to watch than there are.
        """
        super().__post_init__()
        if self.recorded > self.steps:
            raise ScaPreError(
                f"recorded: {self.recorded} steps are more than a picture has ({self.steps}). Give fewer, or raise "
                "steps."
            )


def _preset(name: str, about: str, **values: Any) -> Preset:
    return Preset(name, about, Settings(**values))


class FIA(Method):
    """W' = W without the weights that are concepts' own, in the output of every feed-forward layer.

    Q of a concept or preserved name are the weights that answer it, see `selection`. Cut is what is in the Q of some
    concepts, but not of ⌈α C⌉ or more (and never only because of one), nor of any preserved name, which is an addition
    to the paper.
    """

    title = "FIA"
    about = "Cuts the weights that answer the concepts while the model draws."
    roles = frozenset({Role.FEED_FORWARD})
    settings = Settings
    presets = MappingProxyType({
        "object": _preset("object", "Objects."),
        "style": _preset("style", "Artists and styles.", kind="style", neuron_ratio=0.02, agnostic_ratio=0.8),
        "explicit": _preset("explicit", "What people are in explicit pictures.", kind="explicit", pairs=18),
    })  # fmt: skip
    reads = Reads.LAST
    joint = True
    seeded = True
    preserves = True
    draws = True
    counts = True
    moments = MappingProxyType({
        "counts": Kind(torch.int16, "ur", 0), "columns": Kind(torch.int16, "k", 0, empty="k"),
        "heights": Kind(torch.int32, "h", 1),
    })  # fmt: skip

    def joined(self, held: Sequence[Held], concepts: Sequence[str], preserve: Sequence[str]) -> Tensors:
        """Q of the concepts and preserved names of several edits; of a name in several, the first edit's."""
        places = [_first(held, "concepts", name) for name in concepts]
        places += [_first(held, "preserve", name) for name in preserve]
        parts = [_columns(found.moments) for found in held]
        if any(not torch.equal(found.moments["heights"], held[0].moments["heights"]) for found in held):
            raise ScaPreError("edits: they were made for models of different sizes. Leave one of them out.")
        return {
            "counts": torch.stack([held[edit].moments["counts"][row] for edit, row in places]),
            "columns": torch.cat([parts[edit][row] for edit, row in places]),
            "heights": held[0].moments["heights"],
        }

    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """What is cut of each matrix."""
        moments, names = problem.states.moments, having(projections, self.roles)
        concepts = len({pair.concept.text for pair in problem.pairs})
        heights = moments["heights"].tolist()
        if len(heights) != len(names):
            raise ScaPreError(
                f"edits: they were made for a model with {len(heights)} feed-forward layers, and this one has "
                f"{len(names)}. Make them again on this model."
            )
        split = [
            lists.split(counts, columns, heights)
            for counts, columns in zip(moments["counts"], _columns(moments), strict=True)
        ]

        def own(name: str, weight: Tensor) -> Tensors:
            place = names.index(name)
            found = torch.stack([_mask(name, part[place], weight.shape) for part in split])
            counts, columns = lists.pack(fuse(found, concepts, problem.settings.agnostic_ratio).cut)
            return {"counts": counts, "columns": columns}

        return Fit({}, own, "fusion")

    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """-W where it is cut."""
        mask = lists.unpack(own["counts"], own["columns"], weight.shape[1])
        weight = weight if weight.dtype == torch.float64 else weight.float()
        return Change((-weight).masked_fill_(~mask, 0), None, weight)

    def layout(self, settings: Any, held: Collection[str]) -> Layout:
        """Lists of what is cut."""
        columns = Kind(torch.int16, "l", 0, index="d", empty="l")
        return Layout(own={"counts": Kind(torch.int16, "n", 0), "columns": columns})

    def holds(self, tensors: Tensors) -> bool:
        """Whether counts and columns belong together."""
        heights = tensors.get("heights")
        fit = heights is None or int(heights.sum()) == tensors["counts"].shape[-1]
        return fit and lists.agree(tensors["counts"].flatten(), tensors["columns"])

    def describe(self, settings: Any) -> str:
        """What was drawn, and how weights were chosen."""
        return (
            f"method {self.title} ({settings.saliency}), r2 {settings.neuron_ratio:g}, α {settings.agnostic_ratio:g}, "
            f"{settings.pairs} pairs, {settings.recorded} of {settings.steps} steps, CFG {settings.cfg:g}"
        )

    def figures(self, payload: Payload, settings: Any) -> Mapping[str, float]:
        """How many weights are cut."""
        return {"weights cut": sum(len(own["columns"]) for own in payload.matrices.values())}

    def counted(self, payload: Payload, moments: Tensors) -> Sequence[tuple[int, int]]:
        """How many weights answer each name, and how many of those are cut."""
        own = list(payload.matrices.values())
        cut = lists.places(torch.cat([one["counts"] for one in own]), torch.cat([one["columns"] for one in own]))
        rows = zip(moments["counts"], _columns(moments), strict=True)
        return [(len(columns), int(torch.isin(lists.places(counts, columns), cut).sum())) for counts, columns in rows]

    def remarks(
        self, payload: Payload, moments: Tensors, shapes: Mapping[str, tuple[int, int]], names: Sequence[str]
    ) -> tuple[str, ...]:
        """Says how much is cut, where it is much, and which names nothing answers."""
        sizes = {name: n * d for name, (n, d) in shapes.items()}
        cut = {name: len(own["columns"]) for name, own in payload.matrices.items()}
        most = max(cut, key=lambda name: cut[name] / sizes[name])
        share, whole = cut[most] / sizes[most], sum(cut.values()) / sum(sizes.values())
        told = [f"a strength of 1 cuts {whole:.2%} of the weights, and {share:.2%} where it is most ({most})"]
        if share > _MUCH:
            told.append(
                f"more than {_MUCH:.0%} of a layer is cut, which can harm what should stay; name fewer concepts at "
                "once, or take a smaller neuron_ratio"
            )
        rows = moments["counts"].long().sum(1).tolist()
        unknown = [name for name, count in zip(names, rows, strict=False) if not count]
        if unknown:
            told.append(
                f"no weight answers {some(unknown, _FEW)} more than everyday words; the model may not know it, or the "
                "everyday words are too much like it"
            )
        return tuple(told)


def _first(held: Sequence[Held], kind: str, name: str) -> tuple[int, int]:
    """Number of the first edit that has a name, and its row there."""
    for number_, found in enumerate(held):
        places: Mapping[str, int] = getattr(found, kind)
        if name in places:
            return number_, places[name]
    raise KeyError(name)


def _columns(moments: Tensors) -> Sequence[Tensor]:
    """Columns of each name."""
    found: Sequence[Tensor] = moments["columns"].split([int(row.long().sum()) for row in moments["counts"]])
    return found


def _mask(name: str, part: lists.Lists, shape: Sequence[int]) -> Tensor:
    counts, columns = part
    n, d = shape
    if len(counts) != n or (len(columns) and int(columns.max()) >= d):
        raise ScaPreError(f"edits: {name} is ({n}, {d}) here, and the edits were made for another. Make them again.")
    return lists.unpack(counts, columns, d)
