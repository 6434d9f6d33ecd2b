"""What the panel says: its values in the order that programs send them, and what they ask the engine for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from ..scapre.concepts.concepts import name_notes, parse_concepts, parse_preserve
from ..scapre.concepts.readings import shape_note
from ..scapre.errors import ScaPreError, shorten
from ..scapre.methods import USUAL, closed_form, closed_forms
from ..scapre.methods.settings import Setting, declared
from ..scapre.request import Request

FIRST_PRESET = "usual"
"""The choice of a method's first preset."""
NO_FILE = "None"
MOST_STRENGTH = 2.0
_SEEDS = 2**63
_SWITCH = {"on": True, "off": False}


@dataclass(frozen=True)
class Choices:
    """The values of the panel. Programs send them by their places, so that new ones come after all others.

    Attributes:
        enabled: Whether anything is done at all.
        concepts: The list, one concept a line.
        anchor: What takes the place of lines without an arrow.
        preserve: Names that stay, one a line.
        method: Name of the method.
        preset: One of its presets, or `FIRST_PRESET`.
        strength: How much of the edit is applied.
        seed: Of the method's noise.
        file: An edit file in the place of the list, or `NO_FILE`.
        settings: `name = value` of the method, one a line.
    """

    enabled: bool = False
    concepts: str = ""
    anchor: str = ""
    preserve: str = ""
    method: str = USUAL
    preset: str = FIRST_PRESET
    strength: float = 1.0
    seed: int = 0
    file: str = NO_FILE
    settings: str = ""

    @classmethod
    def of(cls, values: Sequence[Any], changes: Mapping[str, Any] = MappingProxyType({})) -> Choices:
        """From the values by their places; those that are missing at the end are as they are unless given.

        Args:
            values: As the host gives them.
            changes: Other values for some fields, by their names.

        Raises:
            ScaPreError: If it is on, and there are too many values, or one has no meaning.
        """
        known = fields(cls)
        given = {field.name: value for field, value in zip(known, values, strict=False)} | dict(changes)
        if given.get("enabled") in (None, False):
            return cls()
        if len(values) > len(known):
            raise ScaPreError(f"args: {len(values)} values are more than this version knows ({len(known)}).")
        return cls(**{field.name: _typed(field.name, field.default, given.get(field.name)) for field in known})

    @property
    def has_file(self) -> bool:
        """Whether an edit file takes the place of the list."""
        return self.file not in ("", NO_FILE)

    def request(self) -> Request:
        """What the list and the settings ask for.

        Raises:
            ScaPreError: If they cannot be meant.
        """
        parsed = parse_concepts(self.concepts, self.anchor)
        names, solver = parse_preserve(self.preserve, parsed.concepts), closed_form(self.method)
        preset = next(iter(solver.presets)) if self.preset in ("", FIRST_PRESET) else self.preset
        if preset not in solver.presets:
            raise ScaPreError(
                f"preset: {shorten(preset)} is none of the method {self.method}. Choose one of {FIRST_PRESET}, "
                f"{', '.join(solver.presets)}."
            )
        settings = solver.choose(preset, _overrides(self.settings, declared(solver.settings)))
        notes = (*shape_note(self.concepts), *name_notes(self.preserve, "preserve"))
        return Request(parsed, names, settings, self.seed, notes=notes, method=self.method)


def _typed(name: str, default: Any, value: Any) -> Any:
    if value is None:
        return default
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise ScaPreError(f"{name}: {shorten(value)} is neither true nor false.")
    if isinstance(default, str):
        return checked_text(name, value)
    return _number(name, value, whole=isinstance(default, int))


def checked_text(name: str, value: Any) -> str:
    """A text as a program has sent it.

    Raises:
        ScaPreError: If it is none, or cannot be written again.
    """
    if not isinstance(value, str):
        raise ScaPreError(f"{name}: {shorten(value)} is no text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can carry halves of characters, which nothing else can write again
        raise ScaPreError(
            f"{name}: the character at position {error.start + 1} is half of one. Type it anew."
        ) from None
    return value


def _number(name: str, value: Any, *, whole: bool) -> float | int:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if whole and number and value == int(value) and 0 <= int(value) < _SEEDS:
        return int(value)
    if not whole and number and 0 <= value <= MOST_STRENGTH:
        return float(value)
    kind, most = ("a whole number", "2^63 - 1") if whole else ("a number", f"{MOST_STRENGTH:g}")
    raise ScaPreError(f"{name}: {shorten(value)} is not {kind} from 0 to {most}.")


def _overrides(text: str, known: Sequence[Setting]) -> dict[str, Any]:
    """Settings of lines `name = value`; empty lines and comments are none."""
    found: dict[str, Any] = {}
    settings = {setting.name: setting for setting in known}
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise ScaPreError(f"settings: {shorten(line)} is no setting. Write them as name = value, one a line.")
        if name not in settings:
            raise ScaPreError(
                f"settings: this method has no setting {shorten(name)}. It has: {', '.join(settings) or 'none'}."
            )
        found[name] = _value(settings[name], value)
    return found


def _value(setting: Setting, value: str) -> Any:
    if isinstance(setting.default, bool):
        if value not in _SWITCH:
            raise ScaPreError(f"settings: {setting.name} is on or off, and not {shorten(value)}.")
        return _SWITCH[value]
    if isinstance(setting.default, str):
        return value
    try:
        return type(setting.default)(value)
    except ValueError:
        kind = "a whole number" if isinstance(setting.default, int) else "a number"
        raise ScaPreError(f"settings: {setting.name} is {kind}, and not {shorten(value)}.") from None


PRESETS = (FIRST_PRESET, *dict.fromkeys(preset for solver in closed_forms().values() for preset in solver.presets))
