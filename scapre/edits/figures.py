"""The figures of one edit, added up matrix by matrix while it is solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..linalg import product
from ..methods.change import Change
from ..states.prompts import NULL, Pair, Prompt
from ..states.readings import SECOND, plain
from ..states.token_states import TokenStates


@dataclass(frozen=True)
class Report:
    """Figures of one edit. Responses and drifts are taken over all edited projections together, and all encoders.

    Attributes:
        seconds: By stage.
        change: ‖W' - W‖ / ‖W‖ by projection.
        remaining: ‖W' c - W a‖ / ‖W (c - a)‖ by concept text: 1 is untouched, 0 answers like its anchor; above 1 where
            the gate weakens the answer more than it turns it to the anchor. Where a method has found the anchor itself,
            it is the part of the way from c to a that is left, 0 also beyond a.
        kept: W' c · W c / ‖W c‖² by concept text: the share of the old answer in the new one.
        drift: ‖(W' - W) q‖ / ‖W q‖ by text, for anchors, preserved names and the null prompt.
        notes: What the user should know.

    Of an edit of matrices that read no text, only the change is known.
    """

    seconds: Mapping[str, float]
    change: Mapping[str, float]
    remaining: Mapping[str, float]
    kept: Mapping[str, float]
    drift: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def total_seconds(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


def held_prompts(pairs: Sequence[Pair], preserve: Sequence[str]) -> dict[str, Prompt]:
    """Anchors and preserved names by text, without the null prompt."""
    anchors = {pair.anchor.text: pair.anchor for pair in pairs if plain(pair.anchor.text) != NULL}
    return {**anchors, **{name: Prompt(name, name) for name in preserve}}


def held_names(pairs: Sequence[Pair], preserve: Sequence[str]) -> list[str]:
    """The texts of these as they were written, each once."""
    return list(dict.fromkeys(map(plain, held_prompts(pairs, preserve))))


class ChangeMeter:
    """How much of each matrix is new: all that can be said of matrices that read no text."""

    def __init__(self) -> None:
        """Starts with no matrix."""
        self.change: dict[str, float] = {}

    def add(self, name: str, change: Change) -> None:
        """Adds the change of one matrix."""
        self.change[name] = _ratio(change.norm, change.weight.norm().item())

    def report(self, seconds: Mapping[str, float], notes: tuple[str, ...]) -> Report:
        """The figures so far."""
        return Report(seconds, self.change, {}, {}, {}, notes)


class ResponseMeter(ChangeMeter):
    """Adds up the responses of the probed states, matrix by matrix."""

    def __init__(
        self,
        states: TokenStates,
        pairs: Sequence[Pair],
        preserve: Sequence[str],
        dtype: torch.dtype,
        found: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Collects the states in a dtype: concepts, anchors, preserved names and every token of the null prompt.

        Args:
            states: Of all texts.
            pairs: Concepts and anchors.
            preserve: Names that should stay.
            dtype: Of the arithmetic.
            found: Anchors that the method has found, (d,), by concept text.
        """
        super().__init__()
        self.concepts, held = [pair.concept.text for pair in pairs], held_prompts(pairs, preserve)
        self.held = list(held)
        null = states.of(NULL)
        columns = [states.subject(pair.concept) for pair in pairs]
        columns += [states.subject(held[text]) for text in self.held]
        self.found = [pair.concept.text for pair in pairs if pair.concept.text in (found or {})]
        columns += [found[text].to(null) for text in self.found] if found else []
        self.columns = torch.cat((torch.stack(columns), null)).T.contiguous().to(dtype)
        self._basis: Tensor | None = None
        self._rotated = self.columns
        place = {text: len(pairs) + i for i, text in enumerate(self.held)} | {NULL: len(columns)}
        if states.twice:
            place[SECOND] = len(columns) + states.window
        own = {text: len(pairs) + len(self.held) + i for i, text in enumerate(self.found)}
        anchors = [own.get(pair.concept.text, place[pair.anchor.text]) for pair in pairs]
        self.anchor_columns = torch.tensor(anchors, device=null.device)
        self.sums = torch.zeros(6, self.columns.shape[1], dtype=torch.float64, device=null.device)

    def add(self, name: str, change: Change) -> None:
        """Adds the change of one projection."""
        super().add(name, change)
        before = product(change.weight, self.columns)
        moved = change.respond(self._in(change.basis), before)
        m = len(self.concepts)
        gap = before[:, :m] - before[:, self.anchor_columns]
        self.sums[0, :m] += _squares(gap + moved[:, :m])
        self.sums[1, :m] += _squares(gap)
        self.sums[2] += _squares(moved)
        self.sums[3] += _squares(before)
        self.sums[4] += torch.linalg.vecdot(moved, before, dim=0).double()
        self.sums[5, :m] += torch.linalg.vecdot(moved[:, :m], gap, dim=0).double()

    def _in(self, basis: Tensor | None) -> Tensor:
        """The columns in a basis, (k, q); most methods have one for all matrices, so the last is remembered."""
        if basis is not self._basis:
            self._basis, self._rotated = basis, self.columns if basis is None else basis.T @ self.columns
        return self._rotated

    def report(self, seconds: Mapping[str, float], notes: tuple[str, ...]) -> Report:
        """The figures so far."""
        m, end = len(self.concepts), len(self.concepts) + len(self.held) + len(self.found)
        concepts = {text: self.sums[:, columns].sum(-1) for text, columns in _columns(self.concepts).items()}
        held = {text: self.sums[:, columns].sum(-1) for text, columns in _columns(self.held, m).items()}
        found = set(map(plain, self.found))
        remaining = {
            text: _way(sums) if text in found else _ratio(*_roots(sums[:2])) for text, sums in concepts.items()
        }
        kept = {text: 1 + _share(sums[4], sums[3]) for text, sums in concepts.items()}
        drift = {text: _ratio(*_roots(sums[2:4])) for text, sums in held.items()}
        drift[NULL] = _ratio(*_roots(self.sums[2:4, end:].sum(-1)))
        return Report(seconds, self.change, remaining, kept, drift, notes)


def _columns(texts: Sequence[str], start: int = 0) -> dict[str, list[int]]:
    """Where the columns of each text are, for whatever encoder; of one that is there again, the last one."""
    found: dict[str, list[int]] = {}
    for text, column in {text: start + place for place, text in enumerate(texts)}.items():
        found.setdefault(plain(text), []).append(column)
    return found


def _roots(sums: Tensor) -> list[float]:
    found: list[float] = sums.sqrt().tolist()
    return found


def _share(part: Tensor, whole: Tensor) -> float:
    return float(part / whole.clamp(min=torch.finfo(torch.float64).tiny))


def _way(sums: Tensor) -> float:
    """The part of the way to what takes its place that is left."""
    return max(1 + _share(sums[5], sums[1]), 0.0)


def _squares(values: Tensor) -> Tensor:
    squares: Tensor = torch.linalg.vecdot(values, values, dim=0)
    return squares.double()


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else 0.0
