"""The text entries of an edit file: its format, its method, and its table as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from .. import VERSION
from ..checkpoints.strict_json import strict_json
from ..checkpoints.tensor_file import TensorFile
from ..edits.edit import Edit
from ..errors import ScaPreError, shorten
from ..methods import FIRST, METHODS
from ..states.further import POOLED, belongs, is_layer, order, titles
from ..states.readings import once
from .description import Description, described, table_of

FORMAT = "scapre edit"
FORMAT_VERSION = 2
# Method of format 1, and format of its payload. It knows no tokens; an edit from such a file is written in it again.
_FIRST = (FIRST, "1")

_SAME = ("family", "seed", "settings", "preserve")

_WRONG = (LookupError, TypeError, ValueError, AttributeError)  # what a table of other types and values leads to


def to_metadata(edit: Edit) -> dict[str, str]:
    """The metadata of an edit's file, which `from_metadata` can read.

    Raises:
        ScaPreError: If a name or figure cannot be in a file; those that the parsers and the solve give can.
    """
    try:
        text = _text(edit, edit.nbytes)
        further = {name: _text(part, edit.nbytes) for name, part in edit.further.items()}
    except _WRONG as error:
        raise ScaPreError(f"edit: it cannot be saved ({str(error)[:200]}). Make it again without that.") from None
    made = (edit.method, str(edit.solver.format))
    early = made == _FIRST and not edit.states.tokens and not further
    later = 4 if any(map(is_layer, further)) else 3 if further else 2
    number, named = (1, {}) if early else (later, {"method": made[0], "method_format": made[1]})
    begin = {"format": FORMAT, "format_version": str(number), "pack_version": edit.version}
    return {**begin, **named, "edit": text, **further}


def _text(edit: Edit, size: int) -> str:
    text = json.dumps(table_of(edit), ensure_ascii=False, allow_nan=False)
    described(edit.version, edit.method, strict_json(text), size)
    return text


def from_metadata(file: TensorFile) -> tuple[Description, dict[str, Description]]:
    """Reads and checks the metadata of an edit's file: of the edit, and of its parts by their names.

    Raises:
        ScaPreError: If it is no edit, of a later format, or a value is not what it should be.
    """
    if file.metadata.get("format") != FORMAT:
        raise ScaPreError(
            f"file: {shorten(file.path.name)} is a safetensors file, but not an edit. Choose one that Save Edit wrote; "
            "a LoRA belongs into Load LoRA, a model into Load Checkpoint."
        )
    version, pack = (file.metadata.get(key, "") for key in ("format_version", "pack_version"))
    if version not in ("1", "2", "3", "4"):
        raise _unknown(file, f"in its format {_shown(version)}")
    made = file.metadata.get("method", ""), file.metadata.get("method_format", "")
    if version == "1":
        made = _FIRST
    if made not in [(name, str(solver.format)) for name, solver in METHODS.items()]:
        raise _unknown(file, f"with the method {_shown(made[0])} in its format {_shown(made[1])}")
    try:
        own = described(pack, made[0], strict_json(file.metadata["edit"]), file.size)
        further = {
            name: described(pack, made[0], strict_json(file.metadata[name]), file.size)
            for name in _parts(version, file.metadata)
        }
        for name, told in further.items():
            if any(getattr(own, key) != getattr(told, key) for key in _SAME) or not _asks(own, told, name):
                raise ValueError(f"its part for {titles([name])[0]} belongs to another edit")
            if not all(belongs(name, own.family, matrix) for matrix in told.shapes):
                raise ValueError(f"its part for {titles([name])[0]} has matrices of another")
        matrices = [matrix for told in (own, *further.values()) for matrix in told.shapes]
        if len(matrices) != len(set(matrices)):
            raise ValueError("two of its parts change one matrix")
        return own, further
    except ScaPreError as error:
        raise file.broken(str(error)) from None
    except _WRONG as error:
        raise file.broken(f"its description has a wrong value ({str(error)[:80]})") from None


def _parts(version: str, there: Collection[str]) -> list[str]:
    """Names of the parts that a file of a format has."""
    if version != "4":
        return [POOLED] if version == "3" else []
    found = sorted(filter(is_layer, there), key=order)
    if [order(name) for name in found] != list(range(len(found))) or not found:
        raise ValueError("it has not all of its layers")
    return [POOLED, *found] if POOLED in there else found


def _asks(own: Description, part: Description, name: str) -> bool:
    """Whether a part is for the same names in the same wordings, those of the first text encoder alone.

    A layer may lack names of which the language model reads nothing.
    """
    whole, its = (
        [replace(concept, templates=once(concept.templates)) for concept in told.concepts] for told in (own, part)
    )
    there = set(its)
    wanted = [concept for concept in whole if concept in there] if is_layer(name) else whole
    return once(own.templates) == once(part.templates) and its == wanted


def _unknown(file: TensorFile, how: str) -> ScaPreError:
    writer = _shown(file.metadata.get("pack_version", ""))
    return ScaPreError(
        f"file: {shorten(file.path.name)} was written by ScaPre {writer} {how}, which this version ({VERSION}) does "
        "not know. Update the pack and try again."
    )


def _shown(text: str) -> str:
    return shorten(ascii(text)[1:-1], 20)
