"""The states that a text encoder gives for prompts: each text encoded once, and kept where a solve reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from ..concepts.spelling import core
from ..errors import ScaPreError
from ..progress import Progress, silent
from .encoder import Encoder, frame_of
from .prefixes import check_finite, encode_prefixes
from .prompts import NULL, Pair, Prompt
from .readings import is_second, names_read
from .tokens import written


class Reads(Enum):
    """Which states of a prompt a method reads."""

    LAST = "the subject's last token"
    REST = "from the subject's last token on"
    ALL = "all"


@dataclass(frozen=True)
class TokenStates:
    """States of every text an edit needs, each encoded once, and of each text only the tokens that are needed.

    Attributes:
        states: (rows, width) encoder outputs, float32, the texts one after another.
        kept: Positions that are kept of each text, in the order of `states`.
        last: Position of the last token of a head that carries a word; 0, the start token, for an empty one.
        window: Tokens of a whole text.
        frame: States behind those of the null prompt that stand in every prompt: the null prompt of a second encoder,
            and of the words that an encoder puts every text into. They are held as those of the null prompt are, and no
            text's tokens are paired with them.
        tokens: Token ids of each head, as `tokens.written` has them; none in edits of early versions.
        moments: What a method has read of further texts.
        notes: What it has to say of them; not kept with an edit.
        alike: Words that the encoder answers like a name, by the name; not kept with an edit.
        further: What gives the same of what else a model reads of the texts, by its name in `further`: when it is
            asked, since states of many layers are large, and needed one after another. No edit keeps it.
    """

    states: Tensor
    kept: Mapping[str, range]
    last: Mapping[str, int]
    window: int
    frame: int = 0
    tokens: Mapping[str, str] = field(default_factory=dict)
    moments: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alike: Mapping[str, Sequence[str]] = field(default_factory=dict)
    further: Mapping[str, Callable[[Progress], TokenStates]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Width d of a state."""
        return self.states.shape[-1]

    @cached_property
    def first(self) -> Mapping[str, int]:
        """Row in `states` of each text's position 0, whether or not that is kept itself."""
        ends = accumulate(map(len, self.kept.values()))
        return {text: end - held.stop for (text, held), end in zip(self.kept.items(), ends, strict=True)}

    def __iter__(self) -> Iterator[Tensor]:
        """Every tensor."""
        yield self.states
        yield from self.moments.values()

    @property
    def whole(self) -> bool:
        """Whether the states are there, or were left out of a file."""
        return bool(self.kept)

    @property
    def twice(self) -> bool:
        """Whether two text encoders have read the texts side by side."""
        return any(map(is_second, self.kept))

    def left_out(self) -> TokenStates:
        """What is left where nothing is to be solved again: no states, but what is known of the texts' tokens."""
        return replace(self, states=self.states[:0].clone(), kept={}, moments={})

    def subject(self, prompt: Prompt) -> Tensor:
        """State of the last subject token, (d,). For the null prompt that is the start token."""
        return self.states[self.first[prompt.text] + self.last[prompt.head]]

    def rows(self, text: str, positions: range) -> Tensor:
        """States of one text at some of the kept positions, (positions, d)."""
        first = self.first[text]
        return self.states[first + positions.start : first + positions.stop]

    def empty(self, text: str) -> Tensor:
        """All states of the null prompt, (tokens, d), as the encoder of a text reads it."""
        null = self.of(NULL)
        return null[self.window : 2 * self.window] if is_second(text) else null[: self.window]

    def of(self, text: str) -> Tensor:
        """All states of one text, (tokens, d), zero where they are not kept; the null prompt's with the frame."""
        held = self.kept[text]
        return F.pad(self.rows(text, held), (0, 0, held.start, max(self.window - held.stop, 0)))


def needed(
    pairs: Sequence[Pair], preserve: Sequence[str], last: Mapping[str, int], window: int, reads: Reads, frame: int = 0
) -> dict[str, range]:
    """Positions that a solve reads, by text: the whole null prompt, and of every other what its method reads.

    Only the last token of a preserved name is read.
    """
    spans = dict.fromkeys(nulls(pairs), range(1)) | {NULL: range(window + frame)}
    for prompt in (prompt for pair in pairs for prompt in (pair.concept, pair.anchor)):
        place = last[prompt.head]
        held = spans.get(prompt.text, range(place, place + 1))
        start = 0 if reads is Reads.ALL else min(place, held.start)
        stop = place + 1 if reads is Reads.LAST else window
        spans[prompt.text] = range(start, max(stop, held.stop))  # the null prompt is an anchor, too, and has a frame
    for name in preserve:
        spans.setdefault(name, range(last[name], last[name] + 1))
    return spans


def nulls(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The null prompt as each text encoder reads it."""
    return names_read([NULL], [pair.concept.text for pair in pairs])


def encode_prompts(
    encoder: Encoder,
    pairs: Sequence[Pair],
    preserve: Sequence[str] = (),
    progress: Progress = silent,
    reads: Reads = Reads.REST,
) -> TokenStates:
    """Encodes concepts, anchors, preserved names and the null prompt, every distinct text once.

    Raises:
        ScaPreError: For a text that does not fit the encoder, or states that are not finite.
    """
    prompts = list(_by_field(pairs, preserve))
    sources: dict[str, str] = {}
    for source, prompt in prompts:
        sources.setdefault(prompt.text, source)
        sources.setdefault(prompt.head, source)
    ids = {text: _tokens(encoder, text, source) for text, source in sources.items()}
    last = {text: len(ids[text] if core(text) == text else encoder.tokens(core(text))) for text in ids}
    texts = list(dict.fromkeys(prompt.text for _, prompt in prompts))
    first = encoder.encode(texts[:1] if reads is Reads.LAST else texts, progress)
    window, frame = first.shape[1], frame_of(encoder)
    found = dict(zip(texts, first, strict=False))
    if frame is not None:
        found[NULL] = torch.cat([found[NULL], frame])
    kept = needed(pairs, preserve, last, window, reads, len(found[NULL]) - window)
    for text, state in found.items():
        check_finite(text, state)
    rest = {text: kept[text].stop for text in texts if text not in found}
    found |= encode_prefixes(encoder, rest, lambda done: progress("text encoding", done, len(rest)))
    rows = [found[text][kept[text].start : kept[text].stop] for text in texts]
    tokens = {prompt.head: written(ids[prompt.head]) for _, prompt in prompts}
    return TokenStates(torch.cat(rows), kept, last, window, len(found[NULL]) - window, tokens)


def _tokens(encoder: Encoder, text: str, source: str) -> Sequence[int]:
    try:
        return encoder.tokens(text)
    except ScaPreError as error:
        raise ScaPreError(f"{source}: {error}") from None


def _by_field(pairs: Sequence[Pair], preserve: Sequence[str]) -> Iterator[tuple[str, Prompt]]:
    """Every prompt of an edit, the null prompts first, with the input that it came from."""
    for null in nulls(pairs):
        yield "anchor", Prompt(null, null)
    for pair in pairs:
        yield "concepts", pair.concept
        yield "anchor", pair.anchor
    for name in preserve:
        yield "preserve", Prompt(name, name)


def gather(
    pairs: Sequence[Pair],
    preserve: Sequence[str],
    sources: Iterable[tuple[Prompt, TokenStates, Prompt]],
    reads: Reads = Reads.REST,
) -> TokenStates:
    """The states of other pairs, taken from some that are there.

    Args:
        pairs: Concepts and anchors whose states are wanted.
        preserve: Names whose states are wanted.
        sources: A prompt that is wanted, the states it is in, and its name there; the null prompt is one too.
        reads: Which of them.
    """
    found = list(sources)
    last = {prompt.head: states.last[there.head] for prompt, states, there in reversed(found)}
    tokens = {
        prompt.head: states.tokens[there.head]
        for prompt, states, there in reversed(found)
        if there.head in states.tokens
    }
    window, frame = found[0][1].window, found[0][1].frame
    kept = needed(pairs, preserve, last, window, reads, frame)
    rows: dict[str, Tensor] = {}
    for prompt, states, there in found:
        span, held = kept.get(prompt.text, range(0)), states.kept[there.text]
        if span and prompt.text not in rows and held.start <= span.start and span.stop <= held.stop:
            rows[prompt.text] = states.rows(there.text, span)
    return TokenStates(torch.cat([rows[text] for text in kept]), kept, last, window, frame, tokens)
