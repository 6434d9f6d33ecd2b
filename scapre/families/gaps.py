"""Text projections that one block of a model lacks and its likes have: such a file is damaged."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping

from .roles import Role

_NUMBERED = re.compile(r"(.+\.\d+)\.")
_NUMBER = re.compile(r"\d+")


def missing(roles: Mapping[str, Role], place: Callable[[str], tuple[str, str, Role] | None]) -> str:
    """The first text projection that is missing; empty where none is.

    Args:
        roles: Role of each matrix by its name.
        place: Tells a matrix's block, its label and its role.
    """
    blocks: dict[str, set[str]] = defaultdict(set)
    wanted: dict[str, set[str]] = defaultdict(set)
    for name, role in roles.items():
        block = _block(name, place)
        blocks[block].add(name.removeprefix(block))
        if role.reads_text:
            wanted[_kind(block)].add(name.removeprefix(block))
    gaps = (block + layer for block in blocks for layer in sorted(wanted[_kind(block)] - blocks[block]))
    return next(gaps, "")


def _block(name: str, place: Callable[[str], tuple[str, str, Role] | None]) -> str:
    """What names of a matrix's block begin with: UNets' blocks are called otherwise for people."""
    found = place(name)
    if found and name.startswith(found[0]):
        return found[0]
    numbered = _NUMBERED.match(name)
    return numbered[1] if numbered else name


def _kind(block: str) -> str:
    return _NUMBER.sub("#", block)
