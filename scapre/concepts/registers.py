"""Names as a register has them, the last name first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_LETTER = r"[^\W\d_]"
_SUFFIX = r"(?:[Jj]r|[Ss]r|I{2,3}|IV)\.?"
_ENTRY = re.compile(
    rf"(?P<last>{_LETTER}[^,;]*),\s+(?!{_SUFFIX}$)(?P<first>{_LETTER}[^,;]*)(?:,\s+(?P<suffix>{_SUFFIX}))?"
)
_SUFFIXED = re.compile(rf"[^,;]*,\s+{_SUFFIX}")


def is_register(lines: Sequence[str]) -> bool:
    """Whether every line has a last name, a comma and a first name, perhaps with a suffix such as Jr."""
    return bool(lines) and all(map(_ENTRY.fullmatch, lines))


def is_mixed(lines: Sequence[str]) -> bool:
    """Whether some lines are such entries, and the others may be people of one name: Monet, Claude and Rembrandt."""
    entries = [line for line in lines if _parted(line)]
    others = [line for line in lines if not _parted(line)]
    if not entries or not others or not (is_register(entries) and are_people(entries)):
        return False
    return len(entries) >= len(others) or all(len(line.split()) == 1 for line in others)


def _parted(line: str) -> bool:
    return "," in line or ";" in line


def are_people(entries: Sequence[str]) -> bool:
    """Whether what stands around the commas looks like people: it begins with a capital or has no case."""
    return all(part.strip()[:1].upper() == part.strip()[:1] for line in entries for part in line.split(","))


def have_suffixes(lines: Sequence[str]) -> bool:
    """Whether a suffix stands after the comma of every line: Sammy Davis, Jr."""
    return len(lines) > 1 and all(map(_SUFFIXED.fullmatch, lines))


def turned(lines: Sequence[str]) -> Iterator[str]:
    """The names turned round; nothing where that is not what they look like."""
    if is_register(lines) or is_mixed(lines):
        for line in lines:
            entry = _ENTRY.fullmatch(line)
            yield " ".join(filter(None, entry.group("first", "last", "suffix"))) if entry else line
