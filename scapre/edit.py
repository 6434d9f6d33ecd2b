"""The result of a solve: everything needed to apply it again, and nothing of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from .concepts import Concept
from .errors import ScaPreError
from .methods import method
from .report import Report
from .settings import Settings


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

    def __post_init__(self) -> None:
        """Closes the mappings; an edit is shared by every model that carries it."""
        object.__setattr__(self, "shared", MappingProxyType(dict(self.shared)))
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
        expected = len(rows["retention"]), len(self.shared["basis"])
        if tuple(weight.shape) != expected:
            raise ScaPreError(f"edit: {name} is {tuple(weight.shape)} here, but {expected} where the edit was made.")
        basis = self.shared["basis"]
        with torch.no_grad():
            weight = weight.to(basis)
            return method(self.settings.variant)(self.shared, rows, weight, self.settings).dense(weight, basis)

    def to(self, device: torch.device | str) -> Edit:
        """The same edit with its tensors on a device."""
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
        )
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
