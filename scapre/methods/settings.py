"""How a method declares its settings: each once, for its checks, the node's inputs, the command line and the help."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import ScaPreError, shorten

_KEY = "setting"
_LONGEST = 4000


@dataclass(frozen=True)
class Setting:
    """One setting as people meet it.

    Attributes:
        name: As it is typed.
        default: Its value unless a preset or the user has another; it is of the setting's type.
        about: What it does, in a sentence or two.
        least: The least value of a number.
        most: The greatest value of a number.
        offered: The greatest value that an input offers.
        step: From one value of an input to the next.
        choices: The values of a choice; a text that has none is free.
    """

    name: str
    default: Any
    about: str
    least: float = -math.inf
    most: float = math.inf
    offered: float = math.inf
    step: float = 1
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> None:
        """Accepts a value of the setting.

        Raises:
            ScaPreError: If it is outside the range, none of the choices, or too long.
        """
        if isinstance(self.default, str) and not self.choices:
            if len(value) > _LONGEST:
                raise ScaPreError(f"{self.name}: {len(value):,} characters are too many; {_LONGEST:,} are possible.")
            return
        if self.choices and value not in self.choices:
            raise ScaPreError(f"{self.name}: {shorten(value)} is unknown. Choose one of {', '.join(self.choices)}.")
        if not self.choices and not (math.isfinite(value) and self.least <= value <= self.most):
            raise ScaPreError(
                f"{self.name}: {value} is outside {self.least:g} to {self.most:g}. Give a number in between, or "
                "leave it as the preset has it."
            )


def number(
    default: float, about: str, least: float, most: float, *, offered: float | None = None, step: float = 1
) -> Any:
    """A field that is a number: a whole one if its default is. `offered` is `most` unless given."""
    more = {"least": least, "most": most, "offered": most if offered is None else offered, "step": step}
    return field(default=default, metadata={_KEY: {"about": about, **more}})


def choice(default: str, choices: tuple[str, ...], about: str) -> Any:
    """A field that is one of some words."""
    return field(default=default, metadata={_KEY: {"about": about, "choices": choices}})


def text(about: str) -> Any:
    """A field that is any text, empty unless given."""
    return field(default="", metadata={_KEY: {"about": about}})


def switch(default: bool, about: str) -> Any:
    """A field that is on or off."""
    return field(default=default, metadata={_KEY: {"about": about, "least": 0, "most": 1}})


@dataclass(frozen=True)
class MethodSettings:
    """What every method's settings do: a subclass declares fields by `number`, `choice`, `switch` and `text`."""

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ScaPreError: For a value outside its range.
        """
        for setting in declared(type(self)):
            setting.check(getattr(self, setting.name))


def declared(settings: type[MethodSettings]) -> tuple[Setting, ...]:
    """The settings of a method, in the order of its fields."""
    return tuple(Setting(entry.name, entry.default, **entry.metadata[_KEY]) for entry in fields(settings))


@dataclass(frozen=True)
class Preset:
    """A documented recipe: settings, and the anchor and concepts it was released with, where it names them."""

    name: str
    about: str
    settings: MethodSettings
    anchor: str = ""
    concepts: tuple[str, ...] = ()


def load_presets(file: Path, settings: type[MethodSettings]) -> Mapping[str, Preset]:
    """The presets of a method, from a JSON table of theirs by name."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return MappingProxyType({
        name: Preset(name, p["about"], settings(**p["settings"]), p.get("anchor", ""), tuple(p.get("concepts", ())))
        for name, p in found.items()
    })  # fmt: skip
