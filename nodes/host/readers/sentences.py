"""T5 and its relatives: words and an end without a start, read in both directions, so that a text is read whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from ....scapre.states.sentences import END, PADDING, WINDOW, literal, ordered
from .reader import Sections
from .whole import WholeReader

_TOKENS = 4096  # encoded together
_SPECIAL = {"pile_t5xl": (2, 1)}


class SentenceReader(WholeReader):
    """Brings T5's states into the engine's order; what the model reads behind a text's end is the host's to say."""

    def literal(self, text: str) -> str:
        """Without special tokens."""
        return literal(text)

    def _ordered(self, rows: Tensor, words: int) -> Tensor:
        """The engine's window, (window, width), of a text's own states."""
        return ordered(rows, words, self._start, rows[words + 1 :] if self._padding is None else self._padding)

    def _batches(self, texts: Sequence[Sections]) -> Iterator[list[int]]:
        sizes = [len(text[self.name][0]) if self._padding is None else len(self._words(text)) + 1 for text in texts]
        batch: list[int] = []
        for place in sorted(range(len(texts)), key=sizes.__getitem__):
            apart = batch and not self._masked and sizes[place] != sizes[batch[0]]
            if batch and (apart or (len(batch) + 1) * sizes[place] > _TOKENS):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _encoded(self, texts: Sequence[Sections], length: int = WINDOW) -> Tensor:
        """States of texts, (texts, tokens, width), cut to the longest where nothing behind a text's end is read."""
        sections = [text[self.name][0] for text in texts]
        if self._padding is not None:
            ids = [self._words(text) for text in texts]
            longest = max(map(len, ids)) + 1
            end, padding = self._special
            sections = [
                [(token, 1.0) for token in (*some, end, *[padding] * (longest - len(some) - 1))] for some in ids
            ]
        batch = self._asked({**texts[0], self.name: sections})
        states: Tensor = batch.reshape(len(texts), -1, batch.shape[-1])
        return states.float().cpu()

    def _asked(self, tokens: Sections) -> Tensor:
        """What the host gives for tokens, (1, all tokens, width)."""
        found: Tensor = self.clip.encode_from_tokens(tokens)
        return found

    @cached_property
    def _start(self) -> Tensor:
        return self._encoded([self.clip.tokenize("")])[0, 0]

    @cached_property
    def _encoder(self) -> Any:
        return getattr(self.clip.cond_stage_model, self.name)

    @property
    def _masked(self) -> bool:
        """Whether a text's own states are the same with and without padding behind it."""
        return bool(self._encoder.enable_attention_masks)

    @cached_property
    def _padding(self) -> float | None:
        """What stands behind the end, times the end's state; None for states of its own."""
        if self._encoder.zero_out_masked:
            return 0.0
        bare = len(self.clip.tokenize("")[self.name][0]) == 1
        return 1.0 if self._masked or bare else None

    @property
    def _special(self) -> tuple[int, int]:
        """The tokens for the end of a text, and behind it."""
        return _SPECIAL.get(self.name, (END, PADDING))

    def _words(self, sections: Sections) -> tuple[int, ...]:
        ids = [entry[0] for entry in sections[self.name][0]]
        return tuple(ids[: ids.index(self._special[0])])
