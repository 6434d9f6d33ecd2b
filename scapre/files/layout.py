"""Which tensors an edit file holds, and what may be in them: the method's, and those that every edit has."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor

from ..edits.edit import Edit
from ..edits.fingerprint import sketch_size
from ..methods import method
from ..methods.payload import Kind
from ..states.readings import names_read
from ..states.token_states import TokenStates, needed
from .description import Description, heads_of
from .sections import Tensors

_REALS = (torch.float32, torch.float64)


_LAST = Kind(torch.int64, "H", 0)
_TOKENS = Kind(torch.float32, "Nw")
_SKETCH = Kind(torch.float32, "s")
Group = tuple[Mapping[str, Kind], dict[str, int]]


def tensors_of(edit: Edit) -> dict[str, Tensor]:
    """Every tensor of an edit under its name in the file."""
    last = torch.tensor([edit.states.last[head] for head in heads_of(edit)])
    return {
        **{f"shared.{key}": value for key, value in edit.payload.shared.items()},
        **{f"rows.{name}.{key}": value for name, own in edit.payload.matrices.items() for key, value in own.items()},
        **{f"sketch.{name}": value for name, value in edit.sketch.items()},
        "states.last": last,
        **({"states.tokens": edit.states.states} if edit.states.whole else {}),
        **{f"moments.{key}": value for key, value in edit.states.moments.items()},
    }


def read_tensors(file: Tensors, description: Description) -> dict[str, Tensor]:
    """Every tensor of an edit's file. None is read before all are known to have the dtypes and shapes they should.

    Raises:
        ScaPreError: If one is missing, unknown, or not of its kind.
    """
    groups = list(_groups(description, file.entries))
    expected = {name for kinds, _ in groups for name in kinds}
    odd = sorted(expected ^ file.entries.keys())
    if odd:
        raise file.broken(f"the tensor {odd[0][:80]} is {'missing' if odd[0] in expected else 'unknown'}")
    subjects = len(description.concepts) + len(description.preserve)
    common = {"m": len(description.pairs), "H": len(heads_of(description)), "u": subjects, "w": description.width}
    if method(description.method).reads_text:
        common["d"] = description.width
    real = next((file.entries[n].dtype for kinds, _ in groups for n, kind in kinds.items() if kind.dtype is None), None)
    for kinds, sizes in groups:
        for name, kind in kinds.items():
            _bind(file, name, kind, real, common, sizes)
    found = {
        name: _checked(file, name, kind, common | sizes) for kinds, sizes in groups for name, kind in kinds.items()
    }
    _check_together(file, description, found)
    return found


def _check_together(file: Tensors, description: Description, tensors: Mapping[str, Tensor]) -> None:
    """Accepts tensors of each matrix, moments, and what is shared, that belong together."""
    solver = method(description.method)
    for prefix in ("shared.", "moments.", *(f"rows.{name}." for name in description.shapes)):
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if own and not solver.holds(own):
            raise file.broken(f"the tensors {prefix[:80]}* do not belong together")


def _groups(description: Description, there: Collection[str]) -> Iterator[Group]:
    """The tensors that should be there, in groups with sizes of their own.

    States and moments are there together, or were left out together.
    """
    solver = method(description.method)
    held = {name.removeprefix("shared.") for name in there if name.startswith("shared.")}
    layout = solver.layout(description.settings, held)
    shared = {f"shared.{key}": kind for key, kind in layout.shared.items()}
    states = {"states.last": _LAST}
    if "states.tokens" in there:
        states["states.tokens"] = _TOKENS
        states |= {f"moments.{key}": kind for key, kind in solver.moments.items()}
    yield shared, {}
    yield states, {}
    whole = {letter for kinds in (shared, states) for kind in kinds.values() for letter in kind.shape} | {"m", "u"}
    letters = {letter for kind in layout.own.values() for letter in kind.shape} - whole
    for name, (n, d) in description.shapes.items():
        own = {f"rows.{name}.{key}": kind for key, kind in layout.own.items()}
        yield own | {f"sketch.{name}": _SKETCH}, dict.fromkeys(letters, 0) | {"n": n, "d": d, "s": sketch_size(n, d)}


def _bind(
    file: Tensors, name: str, kind: Kind, real: torch.dtype | None, common: dict[str, int], own: dict[str, int]
) -> None:
    """Compares dtype and shape with what is known, and keeps the sizes that were not known."""
    entry = file.entries[name]
    fits = entry.dtype == (kind.dtype or real) and real in (None, *_REALS) and len(entry.shape) == len(kind.shape)
    for letter, size in zip(kind.shape, entry.shape, strict=False):
        sizes = own if letter in own else common
        fits &= (size > 0 or letter == kind.empty) and sizes.get(letter, 0) in (0, size)
        sizes[letter] = size
    if not fits:
        raise file.broken(f"{name[:80]} is {entry.dtype} {entry.shape}, which does not fit the rest")


def _checked(file: Tensors, name: str, kind: Kind, sizes: Mapping[str, int]) -> Tensor:
    value = file.read(name)
    if not value.numel():
        return value
    least, most = (0, sizes[kind.index] - 1) if kind.index else (kind.least, kind.most)
    low, high = (bound.item() for bound in value.aminmax())
    if not (least <= low and high <= most and math.isfinite(low) and math.isfinite(high)):
        raise file.broken(f"{name[:80]} has values from {low:g} to {high:g}, where {least:g} to {most:g} are possible")
    return value


def token_states(file: Tensors, description: Description, tensors: Mapping[str, Tensor]) -> TokenStates:
    """The states with their texts.

    Raises:
        ScaPreError: If there are more or fewer than the texts have tokens.
    """
    window = description.window
    heads = heads_of(description)
    last = dict(zip(heads, tensors["states.last"].tolist(), strict=True))
    if max(last.values()) >= window:
        raise file.broken(f"a text ends at token {max(last.values())} of {window}")
    if len(description.tokens) not in (0, len(heads)):
        raise file.broken(f"it has the tokens of {len(description.tokens)} names, where it has {len(heads)}")
    tokens = dict(zip(heads, description.tokens, strict=False))
    if "states.tokens" not in tensors:
        return TokenStates(torch.empty(0, description.width), {}, last, window, description.frame, tokens)
    reads = method(description.method).reads
    held = names_read(description.preserve, description.templates)
    kept = needed(description.pairs, held, last, window, reads, description.frame)
    states = tensors["states.tokens"]
    if sum(map(len, kept.values())) != len(states):
        raise file.broken(f"it has the states of {len(states)} tokens, where its texts have another number")
    moments = {key: tensors[f"moments.{key}"] for key in method(description.method).moments}
    return TokenStates(states, kept, last, window, description.frame, tokens, moments)
