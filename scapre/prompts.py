"""Turns concepts into the texts that a text encoder reads, and the encoder's states into aligned token pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from .concepts import Concept
from .errors import ScaPreError, shorten
from .progress import Progress, silent

TEMPLATES: Mapping[str, Sequence[str]] = json.loads(
    Path(__file__).with_name("templates.json").read_text(encoding="utf-8")
)
NULL = ""


class Encoder(Protocol):
    """What the engine needs of a text encoder; hosts provide it."""

    def last_token(self, text: str) -> int:
        """Position of a text's last token, 0 (the start token) for an empty text.

        Raises:
            ScaPreError: If the text does not fit the encoder's window.
        """
        ...

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32."""
        ...


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
    """Puts each concept and its anchor in every template; the null prompt stays bare.

    Raises:
        ScaPreError: If a template does not have exactly one `{concept}`, or there is none.
    """
    if not templates:
        raise ScaPreError("templates: the list is empty. Give at least one, such as {concept}.")
    for template in templates:
        if template.count("{concept}") != 1:
            raise ScaPreError(f"templates: {shorten(template)} must contain {{concept}} exactly once.")
    return tuple(Pair(_fill(t, c.text), _fill(t, c.anchor)) for c in concepts for t in templates)


def _fill(template: str, name: str) -> Prompt:
    if not name:
        return Prompt(NULL, NULL)
    before, after = template.split("{concept}")
    return Prompt(before + name + after, before + name)


@dataclass(frozen=True)
class TokenStates:
    """States of every text an edit needs, each encoded once.

    Attributes:
        states: (texts, tokens, width) encoder outputs, float32.
        row: Index of a text in `states`.
        last: Position of the last token of a text or head.
    """

    states: Tensor
    row: Mapping[str, int]
    last: Mapping[str, int]

    @property
    def width(self) -> int:
        """Width d of a state."""
        return self.states.shape[-1]

    def subject(self, prompt: Prompt) -> Tensor:
        """State of the last subject token, (d,). For the null prompt that is the start token."""
        return self.states[self.row[prompt.text], self.last[prompt.head]]

    def of(self, text: str) -> Tensor:
        """All states of one text, (tokens, d)."""
        return self.states[self.row[text]]


def encode_prompts(
    encoder: Encoder, pairs: Sequence[Pair], preserve: Sequence[str] = (), progress: Progress = silent
) -> TokenStates:
    """Encodes concepts, anchors, preserved names and the null prompt, every distinct text once.

    Raises:
        ScaPreError: For a text that does not fit the encoder, or states that are not finite.
    """
    prompts = list(_by_field(pairs, preserve))
    fields: dict[str, str] = {}
    for field, prompt in prompts:
        fields.setdefault(prompt.text, field)
        fields.setdefault(prompt.head, field)
    last = {text: _last_token(encoder, text, field) for text, field in fields.items()}
    texts = list(dict.fromkeys(prompt.text for _, prompt in prompts))
    states = encoder.encode(texts, progress)
    broken = [text for text, ok in zip(texts, states.isfinite().all(-1).all(-1).tolist(), strict=True) if not ok]
    if broken:
        raise ScaPreError(
            f"clip: the text encoder returned NaN or infinity for {shorten(broken[0])}. Its weights are damaged or "
            "were never loaded; load another text encoder."
        )
    return TokenStates(states, {text: i for i, text in enumerate(texts)}, last)


def _last_token(encoder: Encoder, text: str, field: str) -> int:
    try:
        return encoder.last_token(text)
    except ScaPreError as error:
        raise ScaPreError(f"{field}: {error}") from None


def _by_field(pairs: Sequence[Pair], preserve: Sequence[str]) -> Iterator[tuple[str, Prompt]]:
    """Every prompt of an edit, the null prompt first, with the input that it came from."""
    yield "anchor", Prompt(NULL, NULL)
    for pair in pairs:
        yield "concepts", pair.concept
        yield "anchor", pair.anchor
    for name in preserve:
        yield "preserve", Prompt(name, name)


@dataclass(frozen=True)
class Alignment:
    """Where the aligned pairs of each concept lie (methods: x_t = E(o)[f + t], y_t = E(a)[g + t]).

    Both start at the last subject token and run to the end of the shorter rest, so that end and padding positions,
    which carry the prompt too in a causal encoder, are mapped as well.

    Attributes:
        source: (m, tokens) flat positions of x in `TokenStates.states`, and `count` of them valid in each row.
        target: (m,) index into `anchors`.
        anchors: (A, tokens) flat positions of y for each distinct anchor.
        count: (m,) pairs of each concept.
    """

    source: Tensor
    target: Tensor
    anchors: Tensor
    count: Tensor


def align(states: TokenStates, pairs: Sequence[Pair]) -> Alignment:
    """Aligns every pair; pairs of one anchor come to lie side by side if they do in `pairs`."""
    window = states.states.shape[1]
    anchors = {anchor: i for i, anchor in enumerate(dict.fromkeys(pair.anchor for pair in pairs))}
    first = torch.tensor([states.last[pair.concept.head] for pair in pairs])
    second = torch.tensor([states.last[pair.anchor.head] for pair in pairs])
    count = window - torch.maximum(first, second)
    steps = torch.arange(int(count.max()))

    def positions(row: Sequence[int], start: Tensor) -> Tensor:
        return torch.tensor(row)[:, None] * window + (start[:, None] + steps).clamp(max=window - 1)

    source = positions([states.row[pair.concept.text] for pair in pairs], first)
    start = torch.tensor([states.last[anchor.head] for anchor in anchors])
    target = torch.tensor([anchors[pair.anchor] for pair in pairs])
    return Alignment(source, target, positions([states.row[a.text] for a in anchors], start), count)
