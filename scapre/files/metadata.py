"""What an edit file says in words: one JSON table, believed only where every value has the type and range it should."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .. import VERSION
from ..checkpoints.strict_json import strict_json
from ..checkpoints.tensor_file import TensorFile
from ..concepts.concepts import Concept
from ..concepts.names import check_distinct, check_stored
from ..edits.edit import Edit
from ..errors import ScaPreError, shorten
from ..methods.scapre.settings import Settings
from ..report import Report, held_prompts
from ..states.prompts import NULL, Pair, check_templates, expand
from . import values

FORMAT = "scapre edit"
FORMAT_VERSION = 1

_WRONG = (LookupError, TypeError, ValueError, AttributeError)  # what a table of other types and values leads to


@dataclass(frozen=True)
class Description:
    """Everything about an edit but its tensors; the attributes are those of `Edit`.

    Attributes:
        shapes: (n, d) of every projection.
        window: Tokens of a whole text.
    """

    version: str
    family: str
    fingerprint: str
    seed: int
    settings: Settings
    concepts: tuple[Concept, ...]
    preserve: tuple[str, ...]
    templates: tuple[str, ...]
    window: int
    shapes: Mapping[str, tuple[int, int]]
    pairs: tuple[Pair, ...]
    report: Report


def to_metadata(edit: Edit) -> dict[str, str]:
    """The metadata of an edit's file, which `from_metadata` can read.

    Raises:
        ScaPreError: If a name or figure cannot be in a file; those that the parsers and the solve give can.
    """
    try:
        text = json.dumps(_table(edit), ensure_ascii=False, allow_nan=False)
        _described(edit.version, strict_json(text), edit.nbytes)
    except _WRONG as error:
        raise ScaPreError(f"edit: it cannot be saved ({str(error)[:200]}). Make it again without that.") from None
    return {"format": FORMAT, "format_version": str(FORMAT_VERSION), "pack_version": edit.version, "edit": text}


def _table(edit: Edit) -> dict[str, Any]:
    report = edit.report
    return {
        "family": edit.family,
        "fingerprint": edit.fingerprint,
        "seed": edit.seed,
        "settings": asdict(edit.settings),
        "concepts": [asdict(concept) for concept in edit.concepts],
        "preserve": edit.preserve,
        "templates": edit.templates,
        "window": edit.states.window,
        "shapes": edit.shapes,
        "report": {
            "seconds": report.seconds,
            "notes": report.notes,
            # Numbers alone: whom they belong to follows from the names above, so that names are in one place.
            "change": [report.change[name] for name in edit.matrices],
            "remaining": [report.remaining[text] for text in _erased(edit.pairs)],
            "kept": [report.kept[text] for text in _erased(edit.pairs)],
            "drift": [report.drift[text] for text in _held(edit.pairs, edit.preserve)],
        },
    }


def _erased(pairs: Sequence[Pair]) -> list[str]:
    return list(dict.fromkeys(pair.concept.text for pair in pairs))


def _held(pairs: Sequence[Pair], preserve: Sequence[str]) -> list[str]:
    return [*held_prompts(pairs, preserve), NULL]


def from_metadata(file: TensorFile) -> Description:
    """Reads and checks the metadata of an edit's file.

    Raises:
        ScaPreError: If it is no edit, of a later format, or a value is not what it should be.
    """
    if file.metadata.get("format") != FORMAT:
        raise ScaPreError(
            f"file: {shorten(file.path.name)} is a safetensors file, but not an edit. Choose one that Save Edit wrote; "
            "a LoRA belongs into Load LoRA, a model into Load Checkpoint."
        )
    version, pack = (file.metadata.get(key, "") for key in ("format_version", "pack_version"))
    if version != str(FORMAT_VERSION):
        writer, told = (shorten(ascii(text)[1:-1], 20) for text in (pack, version))
        raise ScaPreError(
            f"file: {shorten(file.path.name)} was written by ScaPre {writer} in its format {told}, which this version "
            f"({VERSION}) does not know. Update the pack and try again."
        )
    try:
        return _described(pack, strict_json(file.metadata["edit"]), file.size)
    except ScaPreError as error:
        raise file.broken(str(error)) from None
    except _WRONG as error:
        raise file.broken(f"its description has a wrong value ({str(error)[:80]})") from None


def _described(version: str, table: Mapping[str, Any], size: int) -> Description:
    values.has(table, {field.name for field in fields(Description)} - {"version", "pairs"})
    templates = _templates(table["templates"])
    concepts = tuple(_concept(entry) for entry in table["concepts"])
    preserve = tuple(check_stored(values.text(name), "preserve") for name in table["preserve"] if name)
    check_distinct([*(concept.text for concept in concepts), *preserve], "names")
    letters = sum(
        len(template) + len(concept.text + concept.anchor)
        for concept in concepts
        for template in concept.templates or templates
    )
    if not 0 < letters <= size:  # a file has states of every text it names, and they are larger than the text
        raise ValueError("it names no concept, or more than it has states of")
    shapes = {name: values.shape(*shape) for name, shape in table["shapes"].items()}
    if len({columns for _, columns in shapes.values()}) != 1:
        raise ValueError("its matrices have no width in common")
    pairs = expand(concepts, templates)
    return Description(
        version=values.word(version),
        family=values.word(table["family"]),
        fingerprint=_fingerprint(table["fingerprint"]),
        seed=values.count(table["seed"], 0, 2**63 - 1),
        settings=_settings(table["settings"]),
        concepts=concepts,
        preserve=preserve,
        templates=templates,
        window=values.count(table["window"], 2, 2**16),
        shapes=shapes,
        pairs=pairs,
        report=_report(table["report"], list(shapes), pairs, preserve),
    )


def _fingerprint(value: Any) -> str:
    digits = values.text(value)
    if not re.fullmatch("[0-9a-f]{32}", digits):
        raise ValueError("the fingerprint is none")
    return digits


def _settings(table: Mapping[str, Any]) -> Settings:
    values.has(table, {field.name for field in fields(Settings)})
    for field in fields(Settings):
        kind = type(field.default)
        if type(table[field.name]) is not kind and (kind, type(table[field.name])) != (float, int):
            raise TypeError(f"{field.name} is not {kind.__name__}")
    return Settings(**table)


def _templates(entries: Any) -> tuple[str, ...]:
    return tuple(check_templates([values.text(value) for value in entries]))


def _concept(table: Mapping[str, Any]) -> Concept:
    values.has(table, {field.name for field in fields(Concept)})
    text = check_stored(values.text(table["text"]), "concepts")
    anchor = check_stored(values.text(table["anchor"]), "anchor")
    if not text:
        raise ValueError("a concept has no name")
    return Concept(text, anchor, _templates(table["templates"]) if table["templates"] else ())


def _report(
    table: Mapping[str, Any], matrices: list[str], pairs: tuple[Pair, ...], preserve: tuple[str, ...]
) -> Report:
    values.has(table, {field.name for field in fields(Report)})

    def figures(key: str, names: list[str]) -> dict[str, float]:
        return {name: values.number(value) for name, value in zip(names, table[key], strict=True)}

    return Report(
        seconds={values.text(stage): values.number(value) for stage, value in table["seconds"].items()},
        change=figures("change", matrices),
        remaining=figures("remaining", _erased(pairs)),
        kept=figures("kept", _erased(pairs)),
        drift=figures("drift", _held(pairs, preserve)),
        notes=tuple(values.text(note) for note in table["notes"]),
    )
