"""What is left of a name's guidance, and how far everything else has moved, from predictions of two models.

With g = ε(prompt) - ε(base prompt), of the edited model g_e and of the original g_0, both at latents of the original's
own pictures: left = Σ⟨g_e, g_0⟩ / Σ‖g_0‖², drift = √(Σ‖ε_e - ε_0‖² / Σ‖g_0‖²), the sums over wordings and seeds. Any
factor in front of ε, such as the length of a step, falls out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..progress import Progress, silent
from .wordings import Wording, check_names

Role = Literal["erased", "stays", "empty"]
_STAGES = ("drawing", "original", "edited")


class Models(Protocol):
    """Two models of one architecture, as a host runs them."""

    @property
    def points(self) -> Sequence[float]:
        """Where on the way from noise to a picture they are asked, each a sigma."""
        ...

    def draw(self, texts: Sequence[str], seed: int) -> Tensor:
        """Latents of the original model's pictures, (texts, points, …), from the noise of a seed."""
        ...

    def predict(self, edited: bool, point: int, latents: Tensor, texts: Sequence[str]) -> Tensor:
        """What a model makes of latents (n, …) at a point for a text each, (n, …): -ε times a factor, and a constant.

        The factor and the constant may depend on point and latent, and not on model and text.
        """
        ...


@dataclass(frozen=True)
class Row:
    """Figures of one name.

    Attributes:
        name: It; empty for the empty prompt.
        role: What should become of it.
        points: The figure at each point: what is left for what is erased, the drift of what stays.
        overall: The same over all points.
        most: The wording in which the figure is greatest, and the figure there.
    """

    name: str
    role: Role
    points: tuple[float, ...]
    overall: float
    most: tuple[str, float]


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Attributes:
        sigmas: Of the points.
        rows: The erased names, those that stay, and the empty prompt.
        predictions: How many were asked for.
    """

    sigmas: tuple[float, ...]
    rows: tuple[Row, ...]
    predictions: int


@dataclass
class _Sums:
    """Sums over all entries, (wordings, points): ⟨g_e, g_0⟩, ‖g_0‖², ‖ε_e - ε_0‖²."""

    along: Tensor
    square: Tensor
    moved: Tensor

    @classmethod
    def empty(cls, wordings: int, points: int) -> _Sums:
        return cls(*(torch.zeros(wordings, points, dtype=torch.float64) for _ in range(3)))


def measure(
    models: Models,
    erased: Sequence[str],
    stays: Sequence[str],
    wordings: Sequence[Wording],
    seeds: Sequence[int],
    progress: Progress = silent,
) -> Probed:
    """Asks both models about all names.

    Args:
        models: The two.
        erased: Names that should be gone.
        stays: Names that should be as before.
        wordings: What they are put in.
        seeds: Of the pictures that the models are asked at; a picture for each name and seed.
        progress: Told each step; may raise to stop.

    Raises:
        ScaPreError: If there is no name, a name is itself a base prompt, a prediction is not finite, or the model draws
            the same with a name and without it.
    """
    names = [*erased, *stays]
    if not names:
        raise ScaPreError("names: there are none. Type at least one name to look for, one per line.")
    check_names(names, wordings)
    texts = [_texts(name, wordings) for name in names]
    sums = [_Sums.empty(len(wordings), len(models.points)) for _ in names]
    empty = _Sums.empty(1, len(models.points))
    total = len(seeds) * len(models.points) * sum(map(len, texts))
    asked = 0
    for number, seed in enumerate(seeds):
        progress(_STAGES[0], number, len(seeds))
        latents = models.draw([wordings[0].fill(name) for name in names], seed)
        before = _predicted(models, False, latents, texts, progress, asked, total)
        after = _predicted(models, True, latents, texts, progress, asked, total)
        asked += total // len(seeds)
        for (place, point), first in before.items():
            _add(sums[place], empty, point, wordings, names[place], first, after[place, point])
    _check(names, sums)
    rows = [_row(name, "erased", found, wordings) for name, found in zip(erased, sums, strict=False)]
    rows += [_row(name, "stays", found, wordings) for name, found in zip(stays, sums[len(erased) :], strict=True)]
    if empty.square.any():
        rows.append(_row("", "empty", empty, wordings))
    return Probed(tuple(models.points), tuple(rows), 2 * asked)


def _texts(name: str, wordings: Sequence[Wording]) -> list[str]:
    """Every prompt of a name, each once, and the prompts that it is compared with."""
    return list(dict.fromkeys(text for wording in wordings for text in (wording.fill(name), wording.base)))


def _predicted(
    models: Models, edited: bool, latents: Tensor, texts: Sequence[Sequence[str]], progress: Progress, done: int,
    total: int,
) -> dict[tuple[int, int], dict[str, Tensor]]:  # fmt: skip
    """Predictions by name and point, and by text; all names together at each point."""
    found: dict[tuple[int, int], dict[str, Tensor]] = {}
    stage = _STAGES[1 + edited]
    for point in range(len(models.points)):
        places = [place for place, some in enumerate(texts) for _ in some]
        asked = [text for some in texts for text in some]
        progress(stage, done + point * len(asked), total)
        given = models.predict(edited, point, latents[places, point], asked)
        if not bool(given.isfinite().all()):
            which = asked[int((~given.isfinite()).flatten(1).any(1).nonzero()[0])]
            raise ScaPreError(
                f"{'edited' if edited else 'original'}: the model predicts NaN or infinity for {shorten(which)}. It is "
                "damaged, or its precision does not suffice; take another file or dtype."
            )
        for place, text, one in zip(places, asked, given, strict=True):
            found.setdefault((place, point), {})[text] = one
    return found


def _add(
    sums: _Sums, empty: _Sums, point: int, wordings: Sequence[Wording], name: str,
    before: dict[str, Tensor], after: dict[str, Tensor],
) -> None:  # fmt: skip
    for place, wording in enumerate(wordings):
        text, base = wording.fill(name), wording.base
        first, second = (held[text].double() - held[base].double() for held in (before, after))
        sums.along[place, point] += (second * first).sum()
        sums.square[place, point] += first.square().sum()
        sums.moved[place, point] += (after[text].double() - before[text].double()).square().sum()
        if not base:
            empty.moved[0, point] += (after[base].double() - before[base].double()).square().sum()
            empty.square[0, point] += first.square().sum()


def _check(names: Sequence[str], sums: Sequence[_Sums]) -> None:
    mute = [name for name, found in zip(names, sums, strict=True) if not bool((found.square.sum(0) > 0).all())]
    if mute:
        raise ScaPreError(
            f"names: the original model predicts the same with {shorten(mute[0])} and without it, so nothing of it can "
            "be measured. Is the text encoder that of the model?"
        )


def _row(name: str, role: Role, sums: _Sums, wordings: Sequence[Wording]) -> Row:
    def figure(top: Tensor, bottom: Tensor) -> float:
        share = float(top / bottom) if bottom > 0 else 0.0
        return share if role == "erased" else share**0.5

    top = sums.along if role == "erased" else sums.moved
    points = tuple(figure(above, below) for above, below in zip(top.sum(0), sums.square.sum(0), strict=True))
    each = [figure(above, below) for above, below in zip(top.sum(1), sums.square.sum(1), strict=True)]
    worst = max(range(len(each)), key=each.__getitem__)
    said = "" if role == "empty" else wordings[worst].fill(name)
    return Row(name, role, points, figure(top.sum(), sums.square.sum()), (said, each[worst]))


def rows_of(probed: Probed, role: Role) -> Iterator[Row]:
    """Rows of one role."""
    return (row for row in probed.rows if row.role == role)
