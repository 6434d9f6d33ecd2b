"""Whether edits can be combined, what is taken out of them first, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from ..concepts.names import identity, is_hidden, normalise
from ..errors import ScaPreError, shorten, some
from ..states.readings import of_both, plain
from ..states.tokens import Tokenise, agree, read_otherwise
from .edit import Edit
from .twins import Part

_FEW = 12  # names, or contradictions, in a message


def check_models(edits: Mapping[str, Edit]) -> None:
    """Accepts edits of one method for one family of models, whose texts were cut into the same tokens.

    Raises:
        ScaPreError: Otherwise.
    """
    if not edits:
        raise ScaPreError("edits: there is none. Connect at least one edit.")
    label, first = next(iter(edits.items()))
    if not first.solver.joint:
        raise ScaPreError(
            f"edits: {label} was made with the method {first.solver.title}, whose edits cannot be solved together or "
            "anew. Put them on the model one after another with Apply Edit."
        )
    for other, edit in edits.items():
        if edit.method != first.method:
            raise ScaPreError(
                f"edits: {label} was made with the method {first.solver.title} and {other} with {edit.solver.title}. "
                "Only edits of one method can be solved together; put the others on the model with Apply Edit."
            )
        mine, its = ((e.family, e.states.width, e.states.window) for e in (first, edit))
        if mine != its:
            raise ScaPreError(
                f"edits: {label} was made for {mine[0]} (text states of width {mine[1]}) and {other} for {its[0]} "
                f"({its[1]}). Only edits for one family of models can be combined; leave one of them out."
            )
        pair = (first, edit)
        if len({of_both(one.templates) for one in pair}) > 1:
            one, two = sorted((label, other), key=lambda name: of_both(edits[name].templates))
            raise ScaPreError(
                f"edits: {two} was made with two text encoders side by side, and {one} with one of them. Make {one} "
                "again with all text encoders of the model loaded."
            )
        if all(one.states.whole for one in pair) and first.states.frame != edit.states.frame:
            raise ScaPreError(
                f"edits: {label} and {other} were made with text encoders that put other words around every prompt. "
                "Make one of them again with the other's text encoder."
            )
        common = first.states.last.keys() & edit.states.last.keys()
        if any(first.states.last[head] != edit.states.last[head] for head in common if not is_hidden(head)):
            raise ScaPreError(
                f"edits: {label} and {other} were made with text encoders that cut words into different tokens. Make "
                "one of them again with the other's text encoder."
            )


def tokens_notes(edit: Edit, tokenise: Tokenise) -> tuple[str, ...]:
    """What to say where an installation cuts an edit's names into other tokens than the one it was made on."""
    return _otherwise(read_otherwise(edit.states.tokens, tokenise), "this installation", "the one it was made on")


def tokens_notes_between(label: str, edit: Edit, lead: str, first: Edit) -> tuple[str, ...]:
    """What to say where two edits of one list had been made on installations that cut a name differently."""
    mine, its = edit.states.tokens, first.states.tokens
    heads = [head for head in mine.keys() & its.keys() if not is_hidden(head) and not agree(mine[head], its[head])]
    return _otherwise(sorted(set(map(plain, heads))), f"the installation of {label}", f"that of {lead}")


def _otherwise(names: Sequence[str], here: str, there: str) -> tuple[str, ...]:
    if not names:
        return ()
    return (
        f"{here} cuts {some(names, _FEW)} into other tokens than {there}, so that prompts with such a name may "
        "not meet the edit; make the edit anew where it is used",
    )


def without(parts: Sequence[Part], remove: Sequence[str]) -> list[Part]:
    """The parts without some concepts.

    Raises:
        ScaPreError: If a name is in no part or stands for several hidden concepts, or if nothing is left.
    """
    found = {name: _find(parts, name) for name in remove}
    _check_known(parts, [name for name, places in found.items() if not places])
    gone = {place for places in found.values() for place in places}
    left = [
        replace(part, concepts=tuple(c for c in part.concepts if (part.label, c.text) not in gone)) for part in parts
    ]
    if not any(part.concepts for part in left):
        raise ScaPreError("remove: nothing would be left to erase. Keep one name, or use the model without an edit.")
    return left


def _find(parts: Sequence[Part], name: str) -> list[tuple[str, str]]:
    """Labels and names of the concepts that are meant."""
    alike = [(part.label, c.text) for part in parts for c in part.concepts if normalise(c.text) == normalise(name)]
    typed = [place for place in alike if not is_hidden(place[1])]
    if not typed and len(alike) > 1:
        raise ScaPreError(
            f"remove: {shorten(name)} is a hidden name in {' and in '.join(label for label, _ in alike)}, of different "
            "concepts. Take it out of one of them alone first, with another Merge Edits."
        )
    return typed or alike


def _check_known(parts: Sequence[Part], unknown: Sequence[str]) -> None:
    names = {normalise(c.text): c.text for part in parts for c in part.concepts}
    if not unknown:
        return
    close = [near for name in unknown for near in get_close_matches(normalise(name), names, 3)]
    hint = "Did you mean" if close else "They erase"
    shown = [shorten(names[near]) for near in dict.fromkeys(close or names)]
    raise ScaPreError(
        f"remove: {', '.join(shorten(name) for name in unknown[:_FEW])} is erased by none of the edits. "
        f"{hint} {', '.join(shown[:_FEW])}{' …' if len(shown) > _FEW else '?' if close else '.'}"
    )


def check_agreement(parts: Sequence[Part]) -> None:
    """Accepts parts, under common names, that do not contradict each other.

    Raises:
        ScaPreError: Naming every contradiction.
    """
    found = [*_anchors(parts), *_preserved(parts)]
    if found:
        more = [f"and {len(found) - _FEW} more"] if len(found) > _FEW else []
        lines = "\n".join(f"* {line}" for line in [*found[:_FEW], *more])
        raise ScaPreError(
            f"edits: they contradict each other:\n{lines}\nTake these names out with remove, or make one edit again."
        )


def _anchors(parts: Sequence[Part]) -> Iterator[str]:
    first: dict[str, tuple[str, str]] = {}
    for part in parts:
        for concept in part.concepts:
            label, anchor = first.setdefault(identity(concept.text), (part.label, concept.anchor))
            if identity(anchor) != identity(concept.anchor):
                yield (
                    f"{shorten(concept.text)} has the anchor {_shown(anchor)} in {label} and "
                    f"{_shown(concept.anchor)} in {part.label}"
                )


def _preserved(parts: Sequence[Part]) -> Iterator[str]:
    targets = {identity(c.text): (part.label, c.text) for part in reversed(parts) for c in part.concepts}
    for part in parts:
        for name in part.preserve:
            if identity(name) in targets:
                label, text = targets[identity(name)]
                yield f"{shorten(text)} is erased by {label} and preserved by {part.label}"


def _shown(anchor: str) -> str:
    return shorten(anchor) if anchor else "(empty prompt)"
