"""The states of T5 and its relatives in the engine's order, as the nodes give them in ComfyUI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ..families import TextEncoder
from ..progress import Progress, silent
from ..states.lexicon import Lexicon
from ..states.sentences import END, PADDING, WINDOW, check_length, literal, ordered
from .encoder import CheckpointEncoder
from .pieces import Pieces
from .t5 import T5, Rows
from .t5_file import T5File

_STAGE = "text encoding"
_MOST = 2**27  # values of states that are kept: 512 MB
_REMEMBERED = 65_536

Ids = tuple[int, ...]


class SentenceCutter:
    """Ids of a name's tokens before the end, as the host's tokenizer gives them.

    Attributes:
        vocabulary: Gives the number of each token.
    """

    def __init__(self, pieces: Pieces) -> None:
        """Takes what cuts texts into pieces."""
        self._pieces, self.vocabulary = pieces, pieces.vocabulary
        self._known = lru_cache(_REMEMBERED)(self._cut)  # a method asks of a text again and again

    def __call__(self, text: str) -> Ids:
        """Cuts a text.

        Raises:
            ScaPreError: If there are more than are read of a name.
        """
        return self._known(text)

    def _cut(self, text: str) -> Ids:
        ids = self._pieces(literal(text))
        ids = ids[: ids.index(END)] if END in ids else ids
        check_length(text, ids)
        return ids


class SentenceEncoder:
    """The states that a host's T5 gives for the same file; see `states.sentences` for their order.

    A text is read whole however little of it is wanted, and texts that were read are kept for a while.
    """

    def __init__(self, file: T5File, cut: SentenceCutter, reads: TextEncoder) -> None:
        """Takes the weights, what cuts texts, and how the model reads behind a text's end."""
        self.model, self._ids, self._behind, self._filled = T5(file), cut, reads.behind, reads.filled
        self._held: dict[Ids, Tensor] = {}
        self._coming: list[Ids] = []

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens before the end.

        Raises:
            ScaPreError: If there are more than are read of a name.
        """
        return self._ids(text)

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives; nothing is kept."""
        return make()

    def lexicon(self) -> Lexicon | None:
        """The words of its vocabulary; None for one without words."""
        found = Lexicon.of(self._ids.vocabulary(), Rows(self.model.file))
        return found if len(found.words) > 1 else None

    def read_ahead(self, texts: Sequence[str], progress: Progress = silent) -> None:
        """Reads texts together that are asked for one batch after another: each time the whole file would be read."""
        self._coming = [ids for ids in sorted(set(map(self._ids, texts)), key=len) if ids not in self._held]
        self._read(self._coming[:1], progress)

    def _read(self, asked: Iterable[Ids], progress: Progress = silent) -> None:
        """Reads what is asked for and not there, and with it what is to come, as far as that may be kept."""
        asked = {(): True} | dict.fromkeys(asked, True)
        new = [ids for ids in asked if ids not in self._held]
        if not new:
            return
        room = _MOST // self.model.width - self._tokens(new)
        for ids in self._coming:
            if ids not in self._held and ids not in asked and (room := room - self._tokens([ids])) > 0:
                new.append(ids)
        if self._tokens([*self._held, *new]) * self.model.width > _MOST:
            self._held = {ids: states for ids, states in self._held.items() if ids in asked}
        texts = [(*ids, END, *[PADDING] * (self._filled - len(ids) - 1)) for ids in new]
        found = self.model(texts, lambda done, total: progress(_STAGE, done, total))
        self._held |= {ids: states[:WINDOW].clone() for ids, states in zip(new, found, strict=True)}

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """Windows of the texts, (texts, tokens, width), float32."""
        self._read(map(self._ids, texts), progress)
        return self._windows(texts, WINDOW)

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """The first positions of the windows, (texts, length, width), float32."""
        self._read(map(self._ids, texts))
        return self._windows(texts, length)

    def _windows(self, texts: Sequence[str], length: int) -> Tensor:
        start = self._held[()][0]
        found = ((self._held[ids], len(ids)) for ids in map(self._ids, texts))
        return torch.stack([ordered(rows, words, start, self._later(rows, words))[:length] for rows, words in found])

    def _later(self, rows: Tensor, words: int) -> Tensor | float:
        return rows[words + 1 :] if self._behind is None else self._behind

    def _tokens(self, texts: Iterable[Ids]) -> int:
        """Of texts with their ends, and with what fills them up."""
        return sum(max(len(ids) + 1, self._filled) for ids in texts)


class VectorsBeside(SentenceEncoder):
    """T5, with CLIP beside it for the pooled vectors alone."""

    def __init__(self, file: T5File, cut: SentenceCutter, reads: TextEncoder, clip: CheckpointEncoder) -> None:
        """Takes what a `SentenceEncoder` does, and CLIP."""
        super().__init__(file, cut, reads)
        self._clip = clip

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """CLIP's pooled vectors, (texts, width), float32."""
        return self._clip.pooled(texts)
