"""What an edit file says of an edit in words: a table, believed only where every value is of its type and range."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..concepts.concepts import Concept
from ..concepts.names import check_distinct, check_stored
from ..edits.edit import Edit
from ..edits.figures import Report, held_names
from ..methods import method
from ..methods.settings import MethodSettings, declared
from ..states.prompts import NULL, TEMPLATES, Pair, check_templates, expand
from ..states.readings import names_read, of_both, once, plain
from ..states.tokens import is_kept
from . import values


@dataclass(frozen=True)
class Description:
    """Everything about an edit but its tensors; the attributes are those of `Edit`.

    Attributes:
        width: Of a text state.
        shapes: (n, d) of every projection.
        window: Tokens of a whole text.
        tokens: Token ids of every head, in the order of `heads_of`; none in a file of the first format.
    """

    version: str
    method: str
    family: str
    fingerprint: str
    seed: int
    settings: MethodSettings
    concepts: tuple[Concept, ...]
    preserve: tuple[str, ...]
    templates: tuple[str, ...]
    width: int
    window: int
    frame: int
    tokens: tuple[str, ...]
    shapes: Mapping[str, tuple[int, int]]
    pairs: tuple[Pair, ...]
    report: Report


def table_of(edit: Edit) -> dict[str, Any]:
    """The table of an edit, which `described` can read."""
    report = edit.report
    return {
        "family": edit.family,
        "fingerprint": edit.fingerprint,
        "seed": edit.seed,
        "settings": asdict(edit.settings),
        "concepts": [asdict(concept) for concept in edit.concepts],
        "preserve": edit.preserve,
        "templates": edit.templates,
        **({} if edit.solver.reads_text else {"width": edit.states.width}),
        "window": edit.states.window,
        **({"frame": edit.states.frame} if edit.states.frame else {}),
        **({"tokens": [edit.states.tokens.get(head, "") for head in heads_of(edit)]} if edit.states.tokens else {}),
        "shapes": dict(edit.shapes),
        "report": {
            "seconds": report.seconds,
            "notes": report.notes,
            # Numbers alone: whom they belong to follows from the names above, so that names are in one place.
            "change": [report.change[name] for name in edit.shapes],
            "remaining": [report.remaining[text] for text in _erased(edit.pairs) if edit.solver.reads_text],
            "kept": [report.kept[text] for text in _erased(edit.pairs) if edit.solver.reads_text],
            "drift": [report.drift[text] for text in _held(edit.pairs, edit.preserve) if edit.solver.reads_text],
        },
    }


def heads_of(edit: Edit | Description) -> list[str]:
    """The heads of an edit's prompts, each once, the null prompt first."""
    prompts = (prompt for pair in edit.pairs for prompt in (pair.concept, pair.anchor))
    alone = names_read(edit.preserve, edit.templates)
    nulls = names_read([NULL], edit.templates)
    return list(dict.fromkeys([*nulls, *(prompt.head for prompt in prompts), *alone]))


def _erased(pairs: Sequence[Pair]) -> list[str]:
    return list(dict.fromkeys(plain(pair.concept.text) for pair in pairs))


def _held(pairs: Sequence[Pair], preserve: Sequence[str]) -> list[str]:
    return [*held_names(pairs, preserve), NULL]


def described(version: str, name: str, table: Mapping[str, Any], size: int) -> Description:
    """Reads a table.

    Args:
        version: Of the pack that wrote it.
        name: Of the edit's method.
        table: What `table_of` gives.
        size: Bytes of the edit or its file.

    Raises:
        ScaPreError, LookupError, TypeError, ValueError, AttributeError: If a value is not what it should be.
    """
    solver = method(name)
    known = {field.name for field in fields(Description)} - {"version", "method", "pairs", "frame"}
    early = set() if "tokens" in table else {"tokens"}
    framed = {"frame"} & set(table)  # states that stand in every prompt, where an encoder has a template
    values.has(table, (known | framed) - early - ({"width"} if solver.reads_text else set()))
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
    widths = {columns for _, columns in shapes.values()}
    if not widths or (solver.reads_text and len(widths) != 1):
        raise ValueError("its matrices have no width in common")
    if solver.sums and once(templates) != tuple(TEMPLATES["none"]):
        raise ValueError("its method has no wordings of the user's")
    frame, window = values.count(table.get("frame", 0), 0, 2**10), values.count(table["window"], 2, 2**16)
    if of_both(templates) and frame < window:
        raise ValueError("it has wordings of two text encoders, and the empty prompt of one")
    pairs = expand(concepts, templates)
    return Description(
        version=values.word(version),
        method=name,
        family=values.word(table["family"]),
        fingerprint=_fingerprint(table["fingerprint"]),
        seed=values.count(table["seed"], 0, 2**63 - 1),
        settings=_settings(solver.settings, table["settings"]),
        concepts=concepts,
        preserve=preserve,
        templates=templates,
        width=min(widths) if solver.reads_text else values.count(table["width"], 1, 2**20),
        window=window,
        frame=frame,
        tokens=_tokens(table.get("tokens", ())),
        shapes=shapes,
        pairs=pairs,
        report=_report(table["report"], list(shapes), pairs if solver.reads_text else (), preserve),
    )


def _fingerprint(value: Any) -> str:
    digits = values.text(value)
    if not re.fullmatch("[0-9a-f]{32}", digits):
        raise ValueError("the fingerprint is none")
    return digits


def _settings(kind: type[MethodSettings], table: Mapping[str, Any]) -> MethodSettings:
    settings = declared(kind)
    values.has(table, {setting.name for setting in settings})
    for setting in settings:
        wanted, given = type(setting.default), type(table[setting.name])
        if given is not wanted and (wanted, given) != (float, int):
            raise TypeError(f"{setting.name} is not {wanted.__name__}")
    return kind(**table)


def _tokens(entries: Any) -> tuple[str, ...]:
    found = tuple(values.text(entry) for entry in entries)
    if not all(map(is_kept, found)):
        raise ValueError("the tokens of a name are none")
    return found


def _templates(entries: Any) -> tuple[str, ...]:
    found = tuple(check_templates([values.text(value) for value in entries]))
    if any(_is_control(char) for template in found for char in plain(template)):
        raise ValueError("a wording has control characters")
    return found


def _concept(table: Mapping[str, Any]) -> Concept:
    values.has(table, {field.name for field in fields(Concept)})
    text = check_stored(values.text(table["text"]), "concepts")
    anchor = check_stored(values.text(table["anchor"]), "anchor")
    if not text:
        raise ValueError("a concept has no name")
    return Concept(text, anchor, _templates(table["templates"]) if table["templates"] else ())


def _printable(note: str) -> str:
    return "".join(" " if _is_control(char) else char for char in note)


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc" and char not in "\n\t"


def _report(
    table: Mapping[str, Any], matrices: list[str], pairs: tuple[Pair, ...], preserve: tuple[str, ...]
) -> Report:
    values.has(table, {field.name for field in fields(Report)})

    def figures(key: str, names: list[str]) -> dict[str, float]:
        return {name: values.number(value) for name, value in zip(names, table[key], strict=True)}

    held = _held(pairs, preserve) if pairs else []  # without pairs, nothing was asked of text
    return Report(
        seconds={values.text(stage): values.number(value) for stage, value in table["seconds"].items()},
        change=figures("change", matrices),
        remaining=figures("remaining", _erased(pairs)),
        kept=figures("kept", _erased(pairs)),
        drift=figures("drift", held),
        notes=tuple(_printable(values.text(note)) for note in table["notes"]),
    )
