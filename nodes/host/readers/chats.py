"""Language models, which read a text inside a template, from its beginning on: "user: …, assistant:"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch.nn.functional as F
from torch import Tensor

from ....scapre.states.chats import APART, Ids, literal, template_of, window_of
from ....scapre.states.sentences import WINDOW
from .reader import PROBE, Sections
from .whole import WholeReader

_TOGETHER = 16


class ChatReader(WholeReader):
    """Brings the states of a text inside a template into the engine's order; see `states.chats`."""

    _batch = True

    def literal(self, text: str) -> str:
        """Without special tokens."""
        return literal(text)

    def frame(self) -> Tensor:
        """What a model reads before every text, (positions, width), float32 on the CPU; maybe nothing."""
        return self._empty[1]

    def _ordered(self, rows: Tensor, words: int) -> Tensor:
        """The engine's window of a text, (window, width), from its words' states and what is read behind them."""
        return window_of(rows, words, self._start)

    def _batches(self, texts: Sequence[Sections]) -> Iterator[list[int]]:
        order = sorted(range(len(texts)), key=lambda place: len(self._bare(texts[place])))
        size = _TOGETHER if self._batch else 1
        return (order[start : start + size] for start in range(0, len(order), size))

    def _encoded(self, texts: Sequence[Sections], length: int = WINDOW) -> Sequence[Tensor]:
        """States of texts from their first word on, as far as a model reads them, up to a length."""
        found = self._rows(texts, length)
        if found is None:  # the host cuts away what belongs to the others
            self._batch = False
            return [rows for text in texts for rows in self._encoded([text], length)]
        ends = (len(text[self.name][0]) for text in texts)  # with padding
        return [rows[self._before : min(end, self._before + WINDOW)] for rows, end in zip(found, ends, strict=True)]

    def _rows(self, texts: Sequence[Sections], length: int = WINDOW) -> Tensor | None:
        """States by token, (texts, tokens, width), zero where the host cuts them away before all texts."""
        ids = [self._bare(text) for text in texts]
        longest = max(map(len, ids))
        if self._padded:  # and a model reads the padding
            longest = max(longest, self._before + length)
        batch = self._asked({**texts[0], self.name: self._filled(ids, longest)}).float().cpu()
        cut = longest * len(texts) - batch.shape[1]
        if cut > self._before:
            return None
        return F.pad(batch[0], (0, 0, cut, 0)).view(len(texts), longest, -1)

    def _filled(self, ids: Sequence[Ids], longest: int) -> list[list[tuple[int, float]]]:
        """Sections of texts, all as long as the longest."""
        return [[(token, 1.0) for token in (*some, *[self._padding] * (longest - len(some)))] for some in ids]

    def _asked(self, tokens: Sections) -> Tensor:
        """What the host gives for tokens, (1, all tokens, width)."""
        found: Tensor = self.clip.encode_from_tokens(tokens)
        return found

    def _words(self, sections: Sections) -> Ids:
        ids = self._bare(sections)
        return ids[self._before : len(ids) - self._behind]

    def _bare(self, sections: Sections) -> Ids:
        """Tokens of a text in its template, without padding."""
        ids = [entry[0] for entry in sections[self.name][0]]
        end = len(ids)
        while self._padded and ids[end - 1] == self._padding:
            end -= 1
        return tuple(ids[:end])

    @cached_property
    def _padding(self) -> int:
        return int(getattr(getattr(self.clip.tokenizer, self.name, None), "pad_token", 0))

    @cached_property
    def _padded(self) -> bool:
        """Whether texts are filled up to a length, so that all short ones are equally long."""
        one, other = (self.clip.tokenize(text)[self.name][0] for text in (APART[0], PROBE))
        return len(one) == len(other)

    @cached_property
    def _template(self) -> tuple[int, int]:
        """How many tokens of every text the template has before it, and behind it."""
        return template_of(lambda text: self._bare(self.clip.tokenize(text)))

    @property
    def _before(self) -> int:
        return self._template[0]

    @property
    def _behind(self) -> int:
        return self._template[1]

    @cached_property
    def _empty(self) -> tuple[Tensor, Tensor]:
        """What stands for the start of a text, (width,), and the frame, of the empty prompt."""
        text = self.clip.tokenize("")
        found = self._rows([text])
        if found is None:
            raise TypeError("the host cuts away what a text begins with")
        raw = self._asked(text).shape[1]
        frame = found[0, len(text[self.name][0]) - raw : self._before]
        rows = found[0, self._before + len(self._words(text)) :]
        return (rows[0] if len(rows) else frame[-1]), frame

    @property
    def _start(self) -> Tensor:
        return self._empty[0]
