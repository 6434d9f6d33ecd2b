"""The result of a solve: everything needed to apply it again, and nothing of the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from .. import VERSION
from ..concepts.concepts import Concept
from ..errors import ScaPreError
from ..methods import method
from ..methods.scapre.settings import Settings
from ..report import Report
from ..states.prompts import Pair, expand
from ..states.token_states import TokenStates
from .fingerprint import ROUNDING, difference, fingerprint, sketch


@dataclass(frozen=True)
class Edit:
    """An edit of a model's text projections in compact form.

    The change of a matrix is a function of the matrix, of the token statistics that all matrices share and of a few
    numbers a row. Those are kept; the change itself, as large as the matrices, is evaluated where it is applied.

    Attributes:
        settings: The numbers of the method; their variant names it in `METHODS`.
        concepts: What is erased, and its anchors.
        preserve: Names that were only reported on.
        seed: Of all noise.
        family: Model family of the projections.
        fingerprint: Of the weights the edit was solved from, see `fingerprint`.
        shared: Token statistics.
        matrices: Row statistics by the projection's name.
        report: What was measured while solving.
        templates: Wordings that concepts without their own were put in.
        states: States of all texts on the CPU, from which the edit, or a part of it, can be solved again.
        sketch: Some values of each weight the edit was solved from, see `fingerprint.sketch`.
        version: Of the pack that solved it.
    """

    settings: Settings
    concepts: tuple[Concept, ...]
    preserve: tuple[str, ...]
    seed: int
    family: str
    fingerprint: str
    shared: Mapping[str, Tensor]
    matrices: Mapping[str, Mapping[str, Tensor]]
    report: Report
    templates: tuple[str, ...]
    states: TokenStates
    sketch: Mapping[str, Tensor]
    version: str = VERSION

    def __post_init__(self) -> None:
        """Closes the mappings; an edit is shared by every model that carries it."""
        object.__setattr__(self, "shared", MappingProxyType(dict(self.shared)))
        object.__setattr__(self, "sketch", MappingProxyType(dict(self.sketch)))
        rows = {name: MappingProxyType(dict(values)) for name, values in self.matrices.items()}
        object.__setattr__(self, "matrices", MappingProxyType(rows))

    def delta(self, name: str, weight: Tensor) -> Tensor:
        """W' - W of one projection, (n, d), on the device of `shared` and in its dtype.

        Args:
            name: The projection's name, a key of `matrices`.
            weight: (n, d) the weight to edit, any float dtype.

        Raises:
            ScaPreError: If the edit has no such projection, or the weight's shape is another.
        """
        rows = self.matrices.get(name)
        if rows is None:
            raise ScaPreError(f"edit: it has no projection {name}. It was made for {self.family}.")
        expected = self.shapes[name]
        if tuple(weight.shape) != expected:
            raise ScaPreError(f"edit: {name} is {tuple(weight.shape)} here, but {expected} where the edit was made.")
        basis = self.shared["basis"]
        with torch.no_grad():
            weight = weight.to(basis)
            return method(self.settings.variant)(self.shared, rows, weight, self.settings).dense(weight, basis)

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape (n, d) of every projection."""
        width = len(self.shared["basis"])
        return {name: (len(rows["retention"]), width) for name, rows in self.matrices.items()}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Concepts and anchors as prompts; those that share an anchor lie side by side."""
        return expand(self.concepts, self.templates)

    def difference(self, samples: Mapping[str, Tensor]) -> float:
        """How far weights are from those the edit was solved from: ‖W' - W‖ / ‖W‖, 0 for the same ones.

        Args:
            samples: `fingerprint.sample` of every projection.

        Raises:
            ScaPreError: If a projection is missing.
        """
        missing = self.matrices.keys() - samples.keys()
        if missing:
            raise ScaPreError(f"model: it has no projection {min(missing)}. The edit was made for {self.family}.")
        here = {name: samples[name] for name in self.matrices}
        return self._apart(fingerprint(here.items()), {name: sketch(values) for name, values in here.items()})

    def difference_from(self, other: Edit) -> float:
        """How far the weights of another edit are from those of this one; infinite where they have other names."""
        return self._apart(other.fingerprint, other.sketch) if self.shapes == other.shapes else math.inf

    def _apart(self, digest: str, sketches: Mapping[str, Tensor]) -> float:
        sizes = {name: n * d for name, (n, d) in self.shapes.items()}
        share = 0.0 if digest == self.fingerprint else difference(self.sketch, sketches, sizes)
        return share if share > ROUNDING else 0.0

    def same_as(self, other: Edit) -> bool:
        """Whether two edits do the same to any weights, under whatever names."""
        known = (self.settings, self.fingerprint, self.seed) == (other.settings, other.fingerprint, other.seed)
        return known and torch.equal(self.shared["eigenvalues"], other.shared["eigenvalues"])

    def to(self, device: torch.device | str) -> Edit:
        """The same edit with what `delta` needs on a device."""
        return replace(
            self,
            shared={key: value.to(device) for key, value in self.shared.items()},
            matrices={n: {key: value.to(device) for key, value in rows.items()} for n, rows in self.matrices.items()},
        )

    @property
    def nbytes(self) -> int:
        """Bytes held by the tensors."""
        tensors: Iterable[Tensor] = (
            *self.shared.values(),
            *(t for rows in self.matrices.values() for t in rows.values()),
            self.states.states,
            *self.sketch.values(),
        )
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
