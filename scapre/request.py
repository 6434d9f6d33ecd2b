"""What to erase and how, as hosts ask for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

from .concepts.concepts import Concept, ConceptList
from .errors import ScaPreError
from .methods import FIRST, METHODS, method
from .methods.settings import MethodSettings
from .states.prompts import TEMPLATES, Pair, expand
from .states.readings import names_read, of_both, once, twice

_LAST_SEED = 2**64 - 1


@dataclass(frozen=True)
class Request:
    """What to erase and how.

    Attributes:
        concepts: Parsed concepts.
        preserve: Names that should stay.
        settings: Numbers of the method.
        seed: Of the noise.
        templates: Wordings that every concept and anchor is put in; a method with prompts of its own takes none.
        notes: What the host wants the report to say.
        method: Name of the method in `METHODS`.
        further: Parts of the model that names are also erased from, see `states.further`.
    """

    concepts: ConceptList
    preserve: tuple[str, ...] = ()
    settings: MethodSettings = field(default_factory=METHODS[FIRST].settings)
    seed: int = 0
    templates: Sequence[str] = tuple(TEMPLATES["none"])
    notes: tuple[str, ...] = ()
    method: str = FIRST
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Leaves out wordings that the method does not take.

        Raises:
            ScaPreError: For a seed that no generator takes.
        """
        if not (isinstance(self.seed, Integral) and 0 <= self.seed <= _LAST_SEED):
            raise ScaPreError(f"seed: {self.seed!r:.40} is no seed. Give a whole number from 0 to {_LAST_SEED}.")
        if method(self.method).sums:
            bare = tuple(TEMPLATES["none"])
            object.__setattr__(self, "templates", twice(bare) if of_both(self.templates) else bare)

    def pairs(self) -> tuple[Pair, ...]:
        """Concepts and anchors as prompts; those that share an anchor lie side by side."""
        return expand(self.concepts.concepts, self.templates)

    @property
    def held(self) -> tuple[str, ...]:
        """Preserved names as texts."""
        return names_read(self.preserve, self.templates)

    def only(self, concepts: Sequence[Concept]) -> Request:
        """The same for some of the concepts."""
        return replace(self, concepts=replace(self.concepts, concepts=tuple(concepts)))

    def within(self, texts: Collection[str]) -> Request:
        """The same for the concepts whose prompts are among some texts."""
        found = (c for c in self.concepts.concepts if all(p.concept.text in texts for p in expand([c], self.templates)))
        return self.only(tuple(found))

    def read(self, *, both: bool) -> Request:
        """The same with the wordings of one text encoder or of two; what reads no text needs but one."""
        both = both and method(self.method).reads_text
        return replace(self, templates=twice(self.templates) if both else once(self.templates))
