"""How a picture remembers what was erased: entries of the host's infotext, and the panel's values from them again.

The host quotes values with commas and line breaks, but takes the quotes off some that have neither. So texts are
written as JSON lists of their lines: those begin with a bracket, and come back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .choices import NO_FILE, Choices

PREFIX = "ScaPre "
_LIST = ("concepts", "anchor", "preserve", "method", "preset", "strength", "seed", "settings")
_FILE = ("file", "strength")
_TEXTS = ("concepts", "anchor", "preserve", "settings", "file")
FIELDS = tuple(field.name for field in fields(Choices) if field.name != "enabled")
"""What a picture can set, in the panel's order."""
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Choices)}
EDIT, FILE_HASH = PREFIX + "edit", PREFIX + "file hash"
KEYS = tuple(PREFIX + name for name in (*_LIST, "file", "file hash", "edit"))
"""All entries that may be there."""


def written(choices: Choices) -> dict[str, str]:
    """The entries of a picture: those of the list, or of the edit file in its place."""
    names = _FILE if choices.has_file else _LIST
    found = {name: getattr(choices, name) for name in names}
    return {PREFIX + name: _text(name, value) for name, value in found.items() if value != "" or name == "concepts"}


def read(entries: Mapping[str, Any], name: str) -> Any:
    """The value of one field that a picture remembers; None leaves the panel's as it is.

    A picture that remembers nothing was drawn with the panel off. Raises nothing: what cannot be read is as not there.
    """
    listed, filed = (PREFIX + key in entries for key in ("concepts", "file"))
    if name == "enabled":
        return listed or filed
    if not listed and not filed:
        return None
    if name == "file" and not filed:
        return NO_FILE
    if name not in (_FILE if filed else _LIST):
        return None
    value = entries.get(PREFIX + name)
    if value is None:
        return _DEFAULTS[name]
    return _value(name, str(value))


def _text(name: str, value: Any) -> str:
    if name not in _TEXTS:
        return repr(value) if isinstance(value, float) else str(value)
    lines = value.split("\n")  # and at no other character: every other one is written as it is, or escaped
    return json.dumps(
        lines, ensure_ascii=len((value + ".").splitlines()) > len(lines)
    )  # JSON escapes no line ends of Unicode


def _value(name: str, text: str) -> Any:
    default = _DEFAULTS[name]
    try:
        if name in _TEXTS:
            lines = json.loads(text)
            return "\n".join(lines) if isinstance(lines, list) else default
        return type(default)(text)
    except (ValueError, TypeError, RecursionError):
        return default
