"""Stable Cascade: the text enters stage C as words and as a pooled vector, and stage B as the vector alone.

Stage C maps the states of the words to one width, and the vector to four more tokens beside them; all its attentions
read both. So the first matrix of each way is edited, and what stands behind them is reached by no other text.
"""

from __future__ import annotations

from collections.abc import Iterable

from .family import Family, TextEncoder
from .roles import Role

_C = {"clip_txt_mapper.weight": Role.INPUT, "clip_txt_pooled_mapper.weight": Role.POOLED}
_B = {"clip_mapper.weight": Role.VALUE}
_LABELS = {Role.INPUT: "words", Role.POOLED: "pooled vector", Role.VALUE: "pooled vector"}
_START = "diffusion_model."
_CLIP_G = TextEncoder(
    "CLIP-G",
    frozenset({"g"}),
    "the CLIP output of the loader of stage C's checkpoint, or Load CLIP with type stable_cascade",
)


def roles_in_c(parameters: Iterable[str]) -> dict[str, Role]:
    """Roles of stage C's matrices."""
    return _found(parameters, _C)


def roles_in_b(parameters: Iterable[str]) -> dict[str, Role]:
    """Role of stage B's matrix, whose states are vectors."""
    return _found(parameters, _B)


def _found(parameters: Iterable[str], known: dict[str, Role]) -> dict[str, Role]:
    return {name: known[name.removeprefix(_START)] for name in parameters if name.removeprefix(_START) in known}


def place(name: str) -> tuple[str, str, Role] | None:
    """The way of the text that a matrix begins; None for another name."""
    role = {**_C, **_B}.get(name.removeprefix(_START))
    return (name.removesuffix(".weight"), _LABELS[role], role) if role else None


FAMILIES = {
    "Stable_Cascade_C": Family("Stable Cascade C", roles_in_c, place, _CLIP_G, leaks=True),
    "Stable_Cascade_B": Family("Stable Cascade B", roles_in_b, place, _CLIP_G, of_vectors=True),
}
