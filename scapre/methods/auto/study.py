"""What `auto` reads of a text encoder: moments of prompts with a concept, with its kin in its place, and of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, takewhile, zip_longest

import torch
from torch import Tensor

from ...concepts.concepts import Concept
from ...concepts.spelling import core
from ...errors import ScaPreError, shorten
from ...progress import Progress
from ...states.encoder import Encoder
from ...states.prefixes import encode_prefixes
from ...states.prompts import NULL
from .candidates import ANCHORS
from .common import common_moment, fits, keep, read_lengths
from .contexts import MOST_TOKENS, NAME, PADDING, Slot, Wordings, slots
from .kin import Kin
from .moments import Moment, Moments, Span, aim, half, weights

_STAGE = "text encoding"
_TOGETHER = 64  # concepts whose texts are encoded together
_WORDINGS = 160  # wordings of all concepts together, as far as each has two
_MORE = 480  # further texts of kin
_BESIDE = 160  # those of them with two words
_APART = 60  # those of kin that are left out at first


@dataclass(frozen=True)
class Group:
    """A concept in its wordings, and what takes its place.

    Attributes:
        name: The concept.
        anchors: Words that take its place.
        slots: Its wordings.
    """

    name: str
    anchors: tuple[str, ...]
    slots: tuple[Slot, ...]

    @cached_property
    def texts(self) -> list[str]:
        """Every text of it."""
        return [slot.fill(name) for slot in self.slots for name in (self.name, *self.anchors)]


class Study:
    """Adds up the moments of a list."""

    def __init__(self, encoder: Encoder, width: int) -> None:
        """Empty moments."""
        self.encoder = encoder
        self.erased, self.way, self.kept, self.apart = (Moment(width) for _ in range(4))
        self.kin: list[Tensor] = []
        self.square = 0.0
        self._pieces: dict[str, bool] = {}

    def erase(self, group: Group, states: Mapping[str, Tensor]) -> None:
        """Adds the prompts of a concept."""
        share = 1 / len(group.slots)
        for slot in group.slots:
            own, span = states[slot.fill(group.name)], self._span(slot, group.name)
            others = [(states[slot.fill(name)], self._span(slot, name)) for name in group.anchors]
            rows = own[span.first :]
            weighted = share * weights(span.classes(len(own)))[:, None] * rows
            self.erased.add(weighted, rows)
            self.way.add(aim(own, span, others) - rows, weighted)
            if slot is group.slots[0]:  # the name alone
                self.kin.append(torch.stack([state[place.last] for state, place in others]).mean(0))
            self.square += share * float(rows.square().mean())

    def _span(self, slot: Slot, name: str) -> Span:
        before, whole = self.encoder.tokens(slot.before), self.encoder.tokens(slot.fill(name))
        same = takewhile(lambda pair: pair[0] == pair[1], zip(before, whole, strict=False))
        first, end = len(list(same)) + 1, len(whole) + 1
        if not name:
            return Span(first, first, first, end)
        first = min(first, max(1, end - 1))  # what stands before the name may run together with it
        last = max(min(len(self.encoder.tokens(core(slot.before + name))), end - 1), first)
        return Span(first, first if self._is_pieces(core(name)) else last, last, end)

    def _is_pieces(self, name: str) -> bool:
        """Whether a name is one word whose tokens are pieces: what it begins with is no prompt of its own."""
        if name not in self._pieces:
            tokens, begun = self.encoder.tokens(name), (self.encoder.tokens(name[:end]) for end in range(1, len(name)))
            alone = (part == tokens[: len(part)] for part in begun if 0 < len(part) < len(tokens))
            self._pieces[name] = len(name.split()) == 1 and len(tokens) > 1 and not any(alone)
        return self._pieces[name]


def study(
    encoder: Encoder,
    concepts: Sequence[Concept],
    preserve: Sequence[str],
    kin: Sequence[Kin],
    wordings: Wordings,
    progress: Progress,
) -> Moments:
    """Moments of a list with its kin."""
    groups = [
        _group(encoder, concept, [*preserve, *near.words], near, wordings, place, len(concepts))
        for place, (concept, near) in enumerate(zip(concepts, kin, strict=True))
    ]
    _check_wordings(encoder, wordings)
    beside, alone = ([text for text in texts if fits(encoder, text)] for texts in _texts_of(kin, preserve, wordings))
    _check_kept(encoder, preserve)
    total = sum(len(group.texts) for group in groups) + len(beside) + len(alone)
    done = 0
    null = encode_prefixes(encoder, {NULL: 2 + PADDING})
    width = null[NULL].shape[-1]
    found = Study(encoder, width)
    keep(null, found.kept)
    texts = 1

    def encoded(some: Sequence[str]) -> dict[str, Tensor]:
        nonlocal done
        states = encode_prefixes(encoder, read_lengths(encoder, some), lambda now: progress(_STAGE, done + now, total))
        done += len(some)
        return states

    for start in range(0, len(groups), _TOGETHER):
        some = groups[start : start + _TOGETHER]
        states = encoded([text for group in some for text in group.texts])
        for group in some:
            found.erase(group, states)
        stays = {slot.fill(name) for group in some for slot in group.slots for name in group.anchors} - {NULL}
        keep({text: states[text] for text in stays}, found.kept)
        texts += len(stays)
    keep(encoded(beside), found.kept)
    keep(encoded(alone), found.kept, found.apart)
    common = common_moment(encoder, concepts, width, progress)
    progress(_STAGE, total, total)
    return Moments(
        half(found.erased.total()), found.way.total(), half(found.kept.total()), half(found.apart.total()),
        common, torch.stack(found.kin), texts + len(beside) + len(alone), len(concepts), found.square,
        sum(near.known for near in kin) / len(kin),
    )  # fmt: skip


def _group(
    encoder: Encoder,
    concept: Concept,
    words: Sequence[str],
    kin: Kin,
    wordings: Wordings,
    place: int,
    count: int,
) -> Group:
    """A concept in the wordings that fit the encoder's window, beside words that stay.

    Raises:
        ScaPreError: If none does.
    """
    anchors = (concept.anchor,) if concept.anchor != NULL else kin.words[:ANCHORS] or (NULL,)
    many = max(2, min(wordings.count, _WORDINGS // count))
    names = (concept.text, *anchors)
    found = [
        slot
        for slot in slots(wordings, words[: len(wordings.beside)], many, place)
        if all(fits(encoder, slot.fill(name)) for name in names)
    ]
    if not found:
        longest = max(names, key=len)
        raise _too_long("concepts" if longest == concept.text else "anchor", longest)
    return Group(concept.text, anchors, tuple(found))


def _check_wordings(encoder: Encoder, wordings: Wordings) -> None:
    long = [part for part in (*wordings.alone, *wordings.beside) if not fits(encoder, Slot.of(part, "").fill(""))]
    if long:
        raise ScaPreError(
            f"wordings: {shorten(long[0])} has more than the {MOST_TOKENS} tokens that the method auto can read. "
            "Shorten it."
        )


def _check_kept(encoder: Encoder, preserve: Sequence[str]) -> None:
    long = [name for name in preserve if not fits(encoder, name)]
    if long:
        raise _too_long("preserve", long[0])


def _too_long(field: str, name: str) -> ScaPreError:
    return ScaPreError(
        f"{field}: {shorten(name)} has more than the {MOST_TOKENS} tokens that the method auto can read of a name. "
        "Shorten it, or choose another method."
    )


def _texts_of(kin: Sequence[Kin], preserve: Sequence[str], wordings: Wordings) -> tuple[list[str], list[str]]:
    """Further texts of what stays: of preserved names and most kin, and those of kin that are left out at first."""
    near = list(dict.fromkeys(word for rank in zip_longest(*(found.words for found in kin)) for word in rank if word))
    far = [word for word in near[ANCHORS * len(kin) :: 4] if word not in preserve]
    words = [*preserve, *(word for word in near if word not in preserve and word not in far)]
    kept = [wording.replace(NAME, name) for wording in wordings.alone for name in preserve]
    kept += [
        Slot.of(wording, other).fill(word)
        for wording, word, other in zip(cycle(wordings.beside), words[:_BESIDE], [*words[1:], *words[:1]], strict=False)
    ]
    kept += [wording.replace(NAME, word) for wording in wordings.alone[:3] for word in words]
    apart = [wording.replace(NAME, word) for wording in wordings.alone[:3] for word in far]
    return list(dict.fromkeys(kept))[: max(_MORE, len(wordings.alone) * len(preserve))], apart[:_APART]
