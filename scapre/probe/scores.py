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

Role = Literal["erased", "related", "attacked", "stays", "empty"]
"""What becomes of a name: it is erased; is like one that is; is called up by an attack; stays; or is none."""
Predictions = dict[tuple[int, int], dict[str, Tensor]]
"""Of a model, by the place of a name and the point, and by text."""
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
        points: The figure at each point: the drift of what stays and of the empty prompt, what is left of all others.
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
        rows: Of all names, those that are erased first, and of the empty prompt.
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


class Asked:
    """What the original model draws and predicts for some names: asked once, for any number of edited ones."""

    def __init__(
        self,
        models: Models,
        erased: Sequence[str],
        stays: Sequence[str],
        wordings: Sequence[Wording],
        seeds: Sequence[int],
        progress: Progress = silent,
    ) -> None:
        """Asks the original model.

        Args:
            models: The two.
            erased: Names that should be gone.
            stays: Names that should be as before.
            wordings: What they are put in.
            seeds: Of the pictures that the models are asked at; a picture for each name and seed.
            progress: Told each step; may raise to stop.

        Raises:
            ScaPreError: If there is no name, a name is itself a base prompt, a prediction is not finite, or the model
                draws the same with a name and without it.
        """
        self.erased, self.stays, self._models, self._wordings = erased, stays, models, wordings
        self._names = [*erased, *stays]
        if not self._names:
            raise ScaPreError("names: there are none. Type at least one name to look for, one per line.")
        check_names(self._names, wordings)
        self._texts = [_texts(name, wordings) for name in self._names]
        self.predictions, self._seeds = 0, seeds
        self._before: list[tuple[Tensor, Predictions]] = []
        for number, seed in enumerate(seeds):
            progress(_STAGES[0], number, len(seeds))
            latents = models.draw([wordings[0].fill(name) for name in self._names], seed)
            self._before.append((latents, self._predicted(False, latents, len(self._names), number, progress)))
        self._check()

    def against(self, progress: Progress = silent, *, stays: bool = True) -> Probed:
        """Asks the edited model, and compares.

        Args:
            progress: Told each step; may raise to stop.
            stays: Whether also about the names that should be as before.

        Raises:
            ScaPreError: If a prediction is not finite.
        """
        count = len(self._names) if stays else len(self.erased)
        points = len(self._models.points)
        sums, empty = [_Sums.empty(len(self._wordings), points) for _ in range(count)], _Sums.empty(1, points)
        for number, (latents, before) in enumerate(self._before):
            after = self._predicted(True, latents, count, number, progress)
            for (place, point), second in after.items():
                _add(sums[place], empty, point, self._wordings, self._names[place], before[place, point], second)
        rows = [_row(name, "erased", found, self._wordings) for name, found in zip(self.erased, sums, strict=False)]
        others = zip(self.stays, sums[len(self.erased) :], strict=False)
        rows += [_row(name, "stays", found, self._wordings) for name, found in others]
        if empty.square.any():
            rows.append(_row("", "empty", empty, self._wordings))
        return Probed(tuple(self._models.points), tuple(rows), self.predictions)

    def _predicted(
        self, edited: bool, latents: Tensor, count: int, number: int, progress: Progress
    ) -> Predictions:  # fmt: skip
        """A model's predictions for the first so many names; all names together at each point."""
        found: Predictions = {}
        places = [place for place, some in enumerate(self._texts[:count]) for _ in some]
        asked = [text for some in self._texts[:count] for text in some]
        points = len(self._models.points)
        for point in range(points):
            progress(
                _STAGES[1 + edited], (number * points + point) * len(asked), len(self._seeds) * points * len(asked)
            )
            given = self._models.predict(edited, point, latents[places, point], asked)
            _check_finite(given, asked, "edited" if edited else "original")
            self.predictions += len(asked)
            for place, text, one in zip(places, asked, given, strict=True):
                found.setdefault((place, point), {})[text] = one
        return found

    def _check(self) -> None:
        """Accepts names that say something to the original model at every point."""
        for place, name in enumerate(self._names):
            for point in range(len(self._models.points)):
                given = [before[place, point] for _, before in self._before]
                said = ((one[w.fill(name)] - one[w.base]).any() for one in given for w in self._wordings)
                if not any(map(bool, said)):
                    raise ScaPreError(
                        f"names: the original model predicts the same with {shorten(name)} and without it, so nothing "
                        "of it can be measured. Is the text encoder that of the model?"
                    )


def measure(
    models: Models,
    erased: Sequence[str],
    stays: Sequence[str],
    wordings: Sequence[Wording],
    seeds: Sequence[int],
    progress: Progress = silent,
) -> Probed:
    """Asks both models about all names; see `Asked`."""
    return Asked(models, erased, stays, wordings, seeds, progress).against(progress)


def _check_finite(given: Tensor, asked: Sequence[str], which: str) -> None:
    if not bool(given.isfinite().all()):
        text = asked[int((~given.isfinite()).flatten(1).any(1).nonzero()[0])]
        raise ScaPreError(
            f"{which}: the model predicts NaN or infinity for {shorten(text)}. It is damaged, or its precision does "
            "not suffice; take another file or dtype."
        )


def _texts(name: str, wordings: Sequence[Wording]) -> list[str]:
    """Every prompt of a name, each once, and the prompts that it is compared with."""
    return list(dict.fromkeys(text for wording in wordings for text in (wording.fill(name), wording.base)))


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
