"""Models that read every prompt twice, by two text encoders, through the same matrices.

What the second encoder reads of a prompt is a prompt of its own here: the same text behind a mark that no name can
have. So a name in a wording is one in two wordings, and methods need not know how many encoders there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from ..errors import ScaPreError
from ..progress import Progress, silent
from .encoder import Encoder, ReadsAhead, frame_of
from .lexicon import Lexicon

SECOND = "\x1f"
"""What a text of the second encoder begins with. Control characters are taken out of names, so none has it."""


def is_second(text: str) -> bool:
    """Whether a text or a wording is one of the second encoder's."""
    return text.startswith(SECOND)


def plain(text: str) -> str:
    """A text as it was written."""
    return text.removeprefix(SECOND)


def once(templates: Iterable[str]) -> tuple[str, ...]:
    """Wordings of the first encoder alone."""
    return tuple(template for template in templates if not is_second(template))


def twice(templates: Iterable[str]) -> tuple[str, ...]:
    """Wordings of both, in that order; those that are of both already stay what they are."""
    first = once(templates)
    return (*first, *(SECOND + template for template in first))


def of_both(templates: Iterable[str]) -> bool:
    """Whether wordings are those of two encoders."""
    return any(map(is_second, templates))


def names_read(names: Iterable[str], templates: Iterable[str]) -> tuple[str, ...]:
    """Names that stand alone, as the encoders read them that wordings are for."""
    first = tuple(names)
    return twice(first) if of_both(templates) else first


class TwoReadings:
    """Two encoders as one, for a model that reads what either gives."""

    def __init__(self, first: Encoder, second: Encoder, also: Tensor | None = None) -> None:
        """Takes both, whose states must be of one width.

        Args:
            first: Also gives the vocabulary and the pooled vectors.
            second: Reads the texts that begin with the mark.
            also: (rows, width) what the model itself puts beside every prompt.
        """
        self.first, self.second = first, second
        self._also = also

    def _of(self, text: str) -> Encoder:
        return self.second if is_second(text) else self.first

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens; see `Encoder`."""
        try:
            return self._of(text).tokens(plain(text))
        except ScaPreError as error:
            which = "second" if is_second(text) else "first"
            raise ScaPreError(f"{error} It is the {which} of the model's two text encoders that cuts it so.") from None

    def read_ahead(self, texts: Sequence[str], progress: Progress) -> None:
        """Tells both what they will be asked for."""
        for encoder in (self.first, self.second):
            if isinstance(encoder, ReadsAhead):
                encoder.read_ahead([plain(text) for text in texts if self._of(text) is encoder], progress)

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32."""
        return self._each(texts, lambda encoder, some: encoder.encode(some, progress))

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """States of the first positions of the texts, (texts, length, width), float32."""
        return self._each(texts, lambda encoder, some: encoder.encode_prefixes(some, length))

    def _each(self, texts: Sequence[str], encode: Callable[[Encoder, list[str]], Tensor]) -> Tensor:
        found: dict[int, Tensor] = {}
        for encoder in (self.first, self.second):
            places = [place for place, text in enumerate(texts) if self._of(text) is encoder]
            if places:
                states = encode(encoder, [plain(texts[place]) for place in places])
                found |= dict(zip(places, states, strict=True))
        if len({state.shape for state in found.values()}) > 1:
            raise ScaPreError(
                f"clip: its encoders give states of {' and '.join(str(tuple(s.shape)) for s in found.values())} for "
                "one text, where the model reads both alike. Connect the text encoder that belongs to the model."
            )
        return torch.stack([found[place] for place in range(len(texts))])

    def frame(self) -> Tensor:
        """What stands in every prompt: the second encoder's empty prompt, what both have of that, and the model's."""
        empty = self.second.encode([""], silent)[0]
        parts = (empty, frame_of(self.first), frame_of(self.second), self._also)
        return torch.cat([part for part in parts if part is not None])

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """The first encoder's pooled vectors, (texts, width), float32."""
        found: Tensor = self.first.pooled(texts)  # type: ignore[attr-defined]  # asked of those that have them
        return found

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, or gave earlier for these encoders and key."""
        return self.first.remembered(f"{key}\0two", make)

    def lexicon(self) -> Lexicon | None:
        """The words of the first encoder's vocabulary."""
        return self.first.lexicon()


def readings(encoder: Encoder) -> tuple[Encoder, ...]:
    """The encoders that a model reads, each by itself."""
    return (encoder.first, encoder.second) if isinstance(encoder, TwoReadings) else (encoder,)
