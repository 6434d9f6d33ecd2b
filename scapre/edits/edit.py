"""The result of a solve: everything needed to apply it again, and nothing of the model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from .. import VERSION
from ..concepts.concepts import Concept
from ..errors import ScaPreError
from ..families import Role
from ..methods import Method, method
from ..methods.change import Change
from ..methods.payload import Payload
from ..methods.settings import MethodSettings
from ..states.further import POOLED, role_of
from ..states.prompts import Pair, expand
from ..states.token_states import TokenStates
from .figures import Report
from .fingerprint import ROUNDING, difference, fingerprint, sketch


@dataclass(frozen=True)
class Edit:
    """An edit of a model's text projections in compact form.

    The change of a matrix is a function of the matrix and of a few tensors, which its method knows how to read. Those
    are kept; the change itself, as large as the matrices, is evaluated where it is applied.

    Attributes:
        method: Its method's name in `METHODS`.
        settings: The numbers of the method.
        concepts: What is erased, and its anchors.
        preserve: Names that should stay.
        seed: Of all noise.
        family: Model family of the projections.
        fingerprint: Of the weights the edit was solved from, see `fingerprint`.
        payload: The method's tensors.
        shapes: Shape (n, d) of every projection that it changes, by name, in the model's order.
        report: What was measured while solving.
        templates: Wordings that concepts without their own were put in.
        states: States of all texts on the CPU, from which the edit, or a part of it, can be solved again.
        sketch: Some values of each weight the edit was solved from, see `fingerprint.sketch`.
        version: Of the pack that solved it.
        further: The same for matrices that read something else of a text, by the part's name in `states.further`.
    """

    method: str
    settings: MethodSettings
    concepts: tuple[Concept, ...]
    preserve: tuple[str, ...]
    seed: int
    family: str
    fingerprint: str
    payload: Payload
    shapes: Mapping[str, tuple[int, int]]
    report: Report
    templates: tuple[str, ...]
    states: TokenStates
    sketch: Mapping[str, Tensor]
    version: str = VERSION
    further: Mapping[str, Edit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Closes the mappings; an edit is shared by every model that carries it."""
        object.__setattr__(self, "shapes", MappingProxyType(dict(self.shapes)))
        object.__setattr__(self, "sketch", MappingProxyType(dict(self.sketch)))
        object.__setattr__(self, "further", MappingProxyType(dict(self.further)))

    @property
    def solver(self) -> Method:
        """The method itself.

        Raises:
            ScaPreError: If this version of the pack does not have it.
        """
        return method(self.method)

    @property
    def pooled(self) -> Edit | None:
        """Its part for the matrices that read the text's pooled vector, where those are edited too."""
        return self.further.get(POOLED)

    @property
    def roles(self) -> Collection[Role]:
        """What it edits."""
        return {*self.solver.edits(self.settings), *map(role_of, self.further)}

    @property
    def matrices(self) -> Mapping[str, tuple[int, int]]:
        """Shape (n, d) of every matrix that it changes, also of those of its parts."""
        return {name: shape for part in self._parts for name, shape in part.shapes.items()}

    @property
    def _parts(self) -> tuple[Edit, ...]:
        return (self, *self.further.values())

    @property
    def described(self) -> str:
        """How it was made, in a few words."""
        return self.solver.describe(self.settings)

    def change(self, name: str, weight: Tensor) -> Change:
        """The change of one projection, on the device of the payload and in its dtype.

        Args:
            name: The projection's name, a key of `matrices`.
            weight: (n, d) the weight to edit, any float dtype, on that device.

        Raises:
            ScaPreError: If the edit has no such projection, or the weight's shape is another.
        """
        part = next((part for part in self.further.values() if name in part.shapes), None)
        if part:
            return part.change(name, weight)
        expected = self.shapes.get(name)
        if expected is None:
            raise ScaPreError(f"edit: it has no projection {name}. It was made for {self.family}.")
        if tuple(weight.shape) != expected:
            raise ScaPreError(f"edit: {name} is {tuple(weight.shape)} here, but {expected} where the edit was made.")
        with torch.no_grad():
            return self.solver.delta(self.payload.shared, self.payload.matrices[name], weight, self.settings)

    def delta(self, name: str, weight: Tensor) -> Tensor:
        """W' - W of one projection, (n, d); see `change`."""
        with torch.no_grad():
            return self.change(name, weight).dense()

    def shift(self) -> Callable[[Tensor], Tensor] | None:
        """What adds to states what the edit does to all that reads them; see `Method.shift`."""
        return None if self.further else self.solver.shift(self.payload.shared, self.settings)

    @property
    def digest(self) -> str:
        """A short name of what the edit does, 32 hexadecimal digits: other concepts or settings give another one."""
        found = hashlib.blake2b(digest_size=16)
        found.update(repr((self.method, self.settings, sorted(self.shapes.items()))).encode())
        for name, tensors in {"": self.payload.shared, **self.payload.matrices}.items():
            for key, value in tensors.items():
                found.update(f"{name}\0{key}\0{value.dtype}{tuple(value.shape)}\0".encode())
                found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for part in self.further.values():
            found.update(part.digest.encode())
        return found.hexdigest()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Concepts and anchors as prompts; those that share an anchor lie side by side."""
        return expand(self.concepts, self.templates)

    def difference(self, samples: Mapping[str, Tensor]) -> float:
        """How far weights are from those the edit was solved from: ‖W' - W‖ / ‖W‖, 0 for the same ones.

        Of an edit with parts it is the greatest of all.

        Args:
            samples: `fingerprint.sample` of every projection.

        Raises:
            ScaPreError: If a projection is missing.
        """
        missing = self.shapes.keys() - samples.keys()
        if missing:
            raise ScaPreError(f"model: it has no projection {min(missing)}. The edit was made for {self.family}.")
        here = {name: samples[name] for name in self.shapes}
        own = self._apart(fingerprint(here.items()), {name: sketch(values) for name, values in here.items()})
        return max([own, *(part.difference(samples) for part in self.further.values())])

    def difference_from(self, other: Edit) -> float:
        """How far the weights of another edit are from those of this one; infinite where they have other names.

        Of parts that both have, the farthest counts.
        """
        if self.shapes != other.shapes:
            return math.inf
        parts = (
            part.difference_from(other.further[name]) for name, part in self.further.items() if name in other.further
        )
        return max([self._apart(other.fingerprint, other.sketch), *parts])

    def _apart(self, digest: str, sketches: Mapping[str, Tensor]) -> float:
        sizes = {name: n * d for name, (n, d) in self.shapes.items()}
        share = 0.0 if digest == self.fingerprint else difference(self.sketch, sketches, sizes)
        return share if share > ROUNDING else 0.0

    def same_as(self, other: Edit) -> bool:
        """Whether two edits do the same to any weights, whatever their names, and wherever their tensors lie.

        What was solved anew, from a list in another order for instance, may differ in its tensors and still do the same
        but for rounding. So where they differ, random weights tell; as a rule, the first matrix does.
        """
        if self is other or self.matrices != other.matrices:
            return self is other
        if any(not part.same_as(other.further[name]) for name, part in self.further.items() if name in other.further):
            return False
        mine, its = self.to("cpu"), other.to("cpu")
        if (mine.method, mine.settings) == (its.method, its.settings) and mine.payload.same_as(its.payload):
            return True
        return all(_close(mine.delta(name, weight), its.delta(name, weight)) for name, weight in _probes(self.shapes))

    def to(self, device: torch.device | str) -> Edit:
        """The same edit with what `delta` needs on a device."""
        further = {name: part.to(device) for name, part in self.further.items()}
        return replace(self, payload=self.payload.to(device), further=further)

    @property
    def nbytes(self) -> int:
        """Bytes held by the tensors."""
        own: int = sum(tensor.nbytes for tensor in (*self.payload, *self.states, *self.sketch.values()))
        return own + sum(part.nbytes for part in self.further.values())


def without_states(edit: Edit) -> Edit:
    """An edit that can be applied, but neither merged nor taken apart without its text encoder."""
    further = {name: without_states(part) for name, part in edit.further.items()}
    return replace(edit, states=edit.states.left_out(), payload=edit.solver.trimmed(edit.payload), further=further)


def _probes(shapes: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, Tensor]]:
    """A random weight of each shape, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    return ((name, torch.randn(shape, generator=generator)) for name, shape in shapes.items())


def _close(mine: Tensor, its: Tensor) -> bool:
    return bool((mine - its).norm() <= ROUNDING * mine.norm())
