"""Encoders of which a model reads two, whose states stand side by side: each is read here without the other.

The host runs both for every text. So the one that is not asked is given no text, or next to none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from ....scapre.errors import ScaPreError
from ....scapre.states.sentences import WINDOW, bracketed, ordered
from .reader import Sections
from .sentences import SentenceReader
from .whole import WholeReader
from .windows import WindowReader

_T5, _BERT, _MT5 = "t5xxl", "hydit_clip", "mt5xl"
NO_SENTENCE = [[(1, 1.0)]]  # T5's end
_START, _END = 101, 102  # BERT's
_NO_TEXT = [[(_START, 1.0), (_END, 1.0)]]
_TOGETHER = 16


class JoinedReader(WindowReader):
    """SD3's CLIP-L and CLIP-G, whose joined states the host fills with zeros to the width of T5's."""

    windows = False

    @classmethod
    def there(cls, model: Any) -> bool:
        """Whether both were loaded."""
        return model.clip_l is not None and model.clip_g is not None

    def _asked(self, tokens: Sections) -> Tensor:
        positions = sum(map(len, tokens[self.name]))
        found: Tensor = self.clip.encode_from_tokens({**tokens, _T5: NO_SENTENCE})
        return found[:, :positions]


class BesideReader(SentenceReader):
    """SD3's T5."""

    @classmethod
    def there(cls, model: Any) -> bool:
        """Whether it was loaded."""
        return model.t5xxl is not None

    def vectors(self, texts: Sequence[Sections]) -> Tensor:
        """None: they are CLIP's.

        Raises:
            ScaPreError: Always.
        """
        raise ScaPreError(
            "clip: CLIP-L and CLIP-G are not loaded, so there is no pooled vector of a text. Load them with T5 (Load "
            "CLIP (Triple)), or set pooled to off."
        )

    def _asked(self, tokens: Sections) -> Tensor:
        found: Tensor = self.clip.encode_from_tokens({**tokens, "l": [], "g": []})
        return found


class MultilingualReader(SentenceReader):
    """HunyuanDiT's mT5."""

    def _asked(self, tokens: Sections) -> Tensor:
        found: Tensor = self.clip.encode_from_tokens({**tokens, _BERT: _NO_TEXT}, return_dict=True)[
            f"conditioning_{_MT5}"
        ]
        return found


class BertReader(WholeReader):
    """HunyuanDiT's BERT, which reads in both directions and has a start of its own.

    The start speaks of the whole text, too. The engine lets the start stand for the empty prompt, so that of a text
    takes the place of what stands behind its end, where the model reads nothing of the text.
    """

    def literal(self, text: str) -> str:
        """Without special tokens."""
        return bracketed(text)

    def _words(self, sections: Sections) -> tuple[int, ...]:
        ids = [entry[0] for entry in sections[self.name][0]]
        return tuple(ids[1 : ids.index(_END)])

    def _batches(self, texts: Sequence[Sections]) -> Iterator[list[int]]:
        order = sorted(range(len(texts)), key=lambda place: len(self._words(texts[place])))
        return (order[start : start + _TOGETHER] for start in range(0, len(order), _TOGETHER))

    def _encoded(self, texts: Sequence[Sections], length: int = WINDOW) -> Tensor:
        """States of texts, (texts, tokens, width); what fills them up to one length is masked."""
        ids = [(_START, *self._words(text), _END) for text in texts]
        longest = max(map(len, ids))
        sections = [[(token, 1.0) for token in (*some, *[0] * (longest - len(some)))] for some in ids]
        batch = self.clip.encode_from_tokens({self.name: sections, _MT5: NO_SENTENCE})
        states: Tensor = batch.reshape(len(texts), longest, -1)
        return states.float().cpu()

    def _ordered(self, rows: Tensor, words: int) -> Tensor:
        """The engine's window of a text, (window, width)."""
        return ordered(rows[1:], words, self._start, rows[:1].expand(WINDOW, -1))

    @cached_property
    def _start(self) -> Tensor:
        return self._encoded([self.clip.tokenize("")])[0, 0]
