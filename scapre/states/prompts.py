"""Turns concepts into the texts that a text encoder reads: wordings, and heads that end with the subject."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..concepts.concepts import Concept
from ..concepts.names import MAX_CHARACTERS
from ..errors import ScaPreError, shorten
from .readings import SECOND, is_second, names_read

TEMPLATES: Mapping[str, Sequence[str]] = json.loads(
    Path(__file__).with_name("templates.json").read_text(encoding="utf-8")
)
NULL = ""
BARE = "{concept}"


@dataclass(frozen=True)
class Prompt:
    """A text and its head: the text up to and including the subject."""

    text: str
    head: str


@dataclass(frozen=True)
class Pair:
    """One concept in one wording, and what takes its place."""

    concept: Prompt
    anchor: Prompt


def expand(concepts: Iterable[Concept], templates: Sequence[str]) -> tuple[Pair, ...]:
    """The pairs of `wordings`, so that those that share an anchor lie side by side."""
    pairs = wordings(concepts, templates)
    order = {anchor: i for i, anchor in enumerate(dict.fromkeys(pair.anchor for pair in pairs))}
    return tuple(sorted(pairs, key=lambda pair: order[pair.anchor]))


def wordings(concepts: Iterable[Concept], templates: Sequence[str]) -> tuple[Pair, ...]:
    """Puts each concept and its anchor in every template; the null prompt stays bare.

    Args:
        concepts: What is erased.
        templates: For the concepts that have none of their own.

    Raises:
        ScaPreError: If a template does not have exactly one `{concept}`, or there is none.
    """
    return tuple(
        Pair(fill(template, concept.text), fill(template, concept.anchor))
        for concept in concepts
        for template in check_templates(concept.templates or templates)
    )


def wordings_named(name: str) -> Sequence[str]:
    """The bundled wordings of a name.

    Raises:
        ScaPreError: If there are none of that name.
    """
    if name not in TEMPLATES:
        raise ScaPreError(f"templates: {shorten(name)} is unknown. Choose one of {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]


def check_templates(templates: Sequence[str]) -> Sequence[str]:
    """The templates themselves.

    Raises:
        ScaPreError: If a template does not have exactly one `{concept}`, or is too long, or there is none.
    """
    if not templates:
        raise ScaPreError("templates: the list is empty. Give at least one, such as {concept}.")
    for template in templates:
        if template.count("{concept}") != 1:
            raise ScaPreError(f"templates: {shorten(template)} must contain {{concept}} exactly once.")
        if len(template) > MAX_CHARACTERS:
            raise ScaPreError(f"templates: {shorten(template)} is longer than {MAX_CHARACTERS} characters. Shorten it.")
    return templates


def fill(template: str, name: str) -> Prompt:
    """A name in one wording."""
    if not name:
        null = SECOND if is_second(template) else NULL
        return Prompt(null, null)
    before, after = template.split("{concept}")
    return Prompt(before + name + after, before + name)


def renamed(
    concepts: Iterable[Concept], preserve: Sequence[str], templates: Sequence[str], names: Mapping[str, str]
) -> list[tuple[Prompt, Prompt]]:
    """Every prompt of an edit under the new names, and under the old ones; the null prompts are the first.

    Args:
        concepts: What is erased, under the old names.
        preserve: Preserved names, the old ones.
        templates: Wordings.
        names: New name of each old one.
    """
    found = [(Prompt(null, null), Prompt(null, null)) for null in names_read([NULL], templates)]
    for concept in concepts:
        other = replace(concept, text=names[concept.text], anchor=names[concept.anchor])
        for new, old in zip(wordings([other], templates), wordings([concept], templates), strict=True):
            found += [(new.concept, old.concept), (new.anchor, old.anchor)]
    called, before = (names_read(some, templates) for some in ([names[name] for name in preserve], preserve))
    return [*found, *((Prompt(one, one), Prompt(other, other)) for one, other in zip(called, before, strict=True))]
