"""What a method is to the rest of the engine: what it is given, and what it has to give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..concepts.concepts import Concept
from ..errors import ScaPreError, shorten
from ..families import Projections, Role
from ..progress import Progress
from ..states.encoder import Encoder
from ..states.prompts import Pair
from ..states.token_states import Reads, TokenStates
from .change import Change
from .payload import Kind, Layout, Payload, Tensors
from .settings import MethodSettings, Preset, declared


@dataclass(frozen=True)
class Problem:
    """What a method is to solve.

    Attributes:
        states: Of all texts, on the device to compute on.
        pairs: Concepts and anchors as prompts; those of one anchor side by side.
        preserve: Names that should stay.
        settings: The method's own.
        seed: Of all noise.
        dtype: Of the arithmetic on weights, and of what a payload keeps for it; statistics are float64 in any case.
        progress: Told each step; may raise to stop.
        learned: What training has found, for a method that trains.
    """

    states: TokenStates
    pairs: tuple[Pair, ...]
    preserve: tuple[str, ...]
    settings: Any
    seed: int
    dtype: torch.dtype
    progress: Progress
    learned: Payload | None = None


@dataclass(frozen=True)
class Studied:
    """What a method has read of a text encoder.

    Attributes:
        moments: Its figures of prompts.
        notes: What the user should know of it.
        alike: Words that the encoder answers like a concept, by its text.
        kin: Words that it has found to stand by each concept.
    """

    moments: Tensors = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alike: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kin: Sequence[Any] = ()


@dataclass(frozen=True)
class Held:
    """What one edit brings to a union.

    Attributes:
        payload: What its method had found.
        moments: What it had read.
        concepts: Its concepts that go in, under their names in the union, each with its place in the edit's list.
        preserve: The same for preserved names.
    """

    payload: Payload
    moments: Tensors
    concepts: Mapping[str, int]
    preserve: Mapping[str, int]


def _nothing(name: str, weight: Tensor) -> Tensors:
    return {}


@dataclass(frozen=True)
class Fit:
    """What a method has found for all matrices, and how it goes on with each.

    Attributes:
        shared: `Payload.shared`.
        own: Gives what `Payload.matrices` holds for a matrix, from its name and weight (n, d).
        stage: What the time that `own` takes is called in the report.
    """

    shared: Tensors
    own: Callable[[str, Tensor], Tensors] = _nothing
    stage: str = "fit"


class Method(ABC):
    """A way to compute an edit.

    Attributes:
        title: Name for people.
        about: What it is good for, in a sentence.
        roles: What it edits.
        settings: Its settings, each of which it declares once.
        presets: Its documented recipes.
        format: Version of its payload in files; another number is another layout.
        joint: Whether edits of it can be solved together from the token states and moments that they keep.
        reads: Which token states of a prompt it reads.
        moments: What the moments that `study` gives are, where edits keep them.
        sums: Whether its moments are sums over prompts of a whole list, from which no name can be taken out; others
            belong to the text encoder alone.
        kin: Whether kin that it finds take the place of concepts without an anchor, in place of the empty prompt.
        seeded: Whether it draws noise.
        preserves: Whether preserved names enter the solve; else they are only measured.
        draws: Whether it needs the model itself, which a host must run: others need nothing but texts and weights.
        counts: Whether `counted` tells how many weights answer each name.
        trains: Whether it learns its change step by step. Such changes are added up where edits are merged.
    """

    title: ClassVar[str]
    about: ClassVar[str] = ""
    roles: ClassVar[Collection[Role]]
    settings: ClassVar[type[MethodSettings]]
    presets: ClassVar[Mapping[str, Preset]] = {}
    format: ClassVar[int] = 1
    joint: ClassVar[bool] = False
    reads: ClassVar[Reads] = Reads.REST
    moments: ClassVar[Mapping[str, Kind]] = {}
    sums: ClassVar[bool] = False
    kin: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    preserves: ClassVar[bool] = False
    draws: ClassVar[bool] = False
    counts: ClassVar[bool] = False
    trains: ClassVar[bool] = False

    @property
    def reads_text(self) -> bool:
        """Whether what it edits reads the text encoder's states, so that it can be asked how it answers them."""
        return all(role.reads_text for role in self.roles)

    def edits(self, settings: Any) -> Collection[Role]:
        """What it edits with these settings."""
        return self.roles

    def study(
        self, encoder: Encoder, concepts: Sequence[Concept], preserve: Sequence[str], settings: Any, progress: Progress,
        known: Studied | None = None,
    ) -> Studied:  # fmt: skip
        """What it reads of the encoder beside the states of names: the states of prompts, as their moments.

        Args:
            encoder: Reads them.
            concepts: What is erased.
            preserve: Names that stay.
            settings: Its own.
            progress: Told each step; may raise to stop.
            known: What it had read of the same list by another encoder of the model, whose kin are taken.
        """
        return Studied()

    def anchors(self, moments: Tensors, concepts: Sequence[Concept]) -> Tensors:
        """States (d,) that it has found to take the place of concepts, by their texts; others go to their anchors."""
        return {}

    def joined(self, held: Sequence[Held], concepts: Sequence[str], preserve: Sequence[str]) -> Tensors:
        """The moments of several edits as those of one: what would have been read for all their concepts.

        Args:
            held: Of each edit that has a concept in it, or a preserved name.
            concepts: All of them, in the order of the union.
            preserve: All preserved names.
        """
        return held[0].moments

    def summed(self, payloads: Sequence[Payload]) -> Payload | None:
        """What was learned for several edits, added up; None for a method that solves them anew.

        Raises:
            ScaPreError: If they cannot be added up.
        """
        return None

    def trimmed(self, payload: Payload) -> Payload:
        """A payload without what its change does not need."""
        return payload

    @abstractmethod
    def fit(self, problem: Problem, projections: Projections) -> Fit:
        """Token states and projections -> payload. It may read weights, and changes none."""

    @abstractmethod
    def delta(self, shared: Tensors, own: Tensors, weight: Tensor, settings: Any) -> Change:
        """Payload and weight -> change. What a solve measures and what a host applies are both this.

        Args:
            shared: `Payload.shared`.
            own: What `Payload.matrices` holds for this matrix.
            weight: (n, d) on the device of the payload, any float dtype; the change is in the payload's.
            settings: The edit's.
        """

    def shift(self, shared: Tensors, settings: Any) -> Callable[[Tensor], Tensor] | None:
        """Where W' = W (I + B) for all weights: what takes states x (…, d), float32, to B x, with tensors made ready.

        A host that leaves weights alone then changes what goes into them, once for all layers; None for other edits.
        """
        return None

    def factors(self, own: Tensors) -> tuple[Tensor, Tensor] | None:
        """Up (n, r) and down (r, d) whose product is a matrix's change, where it is kept as such."""
        return None

    @abstractmethod
    def layout(self, settings: Any, held: Collection[str]) -> Layout:
        """What a payload for these settings must hold; files are believed only where they do.

        Args:
            settings: The edit's.
            held: Names of the shared tensors that are there, for a method whose payload has several forms.
        """

    def holds(self, tensors: Tensors) -> bool:
        """Whether tensors of a matrix, moments, or what is shared, that are of their kinds also belong together."""
        return True

    def counted(self, payload: Payload, moments: Tensors) -> Sequence[tuple[int, int]]:
        """How many weights answer each concept and preserved name, and how many of those are cut."""
        return ()

    def remaining(self, payload: Payload) -> Sequence[float] | None:
        """What is left of each concept's answer, where training has seen it: 1 is as before, 0 is gone."""
        return None

    def remarks(
        self, payload: Payload, moments: Tensors, shapes: Mapping[str, tuple[int, int]], names: Sequence[str]
    ) -> tuple[str, ...]:
        """What the user should know of an edit that was solved.

        Args:
            payload: Of the edit.
            moments: What it was solved from.
            shapes: Of the matrices.
            names: Of the concepts.
        """
        return ()

    def describe(self, settings: Any) -> str:
        """The method and its kind in a few words, for reports."""
        return f"method {self.title}"

    def figures(self, payload: Payload, settings: Any) -> Mapping[str, float]:
        """Figures that it alone has, for reports."""
        return {}

    def choose(self, preset: str, overrides: Mapping[str, Any] | None = None) -> Any:
        """The settings of a preset, with single values replaced.

        Raises:
            ScaPreError: For an unknown preset or setting, or a value outside its range.
        """
        if preset not in self.presets:
            raise ScaPreError(f"preset: {shorten(preset)} is unknown. Choose one of {', '.join(self.presets)}.")
        unknown = set(overrides or {}) - {setting.name for setting in declared(self.settings)}
        if unknown:
            raise ScaPreError(f"settings: {shorten(', '.join(sorted(unknown)))} is not a setting of {self.title}.")
        return replace(self.presets[preset].settings, **(overrides or {}))
