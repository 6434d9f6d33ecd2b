"""The states of T5 and its relatives in the engine's order, as the nodes give them in ComfyUI."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..families import TextEncoder
from ..progress import Progress, silent
from ..states.lexicon import Embeddings, Lexicon
from ..states.sentences import END, WINDOW, check_length, literal, ordered
from .encoder import CheckpointEncoder
from .pieces import Pieces
from .t5 import T5, Rows, Told
from .t5_file import T5File
from .tensor_file import TensorFile

_STAGE = "text encoding"
_MOST = 2**27  # values of states that are kept: 512 MB
_REMEMBERED = 65_536

Ids = tuple[int, ...]


class SentenceCutter:
    """Ids of a name's tokens before the end, as the host's tokenizer gives them.

    Attributes:
        vocabulary: Gives the number of each token.
    """

    def __init__(self, pieces: Pieces, end: int = END) -> None:
        """Takes what cuts texts into pieces, and the token for the end of a text."""
        self._pieces, self.vocabulary, self._end = pieces, pieces.vocabulary, end
        self._known = lru_cache(_REMEMBERED)(self._cut)  # a method asks of a text again and again

    def __call__(self, text: str) -> Ids:
        """Cuts a text.

        Raises:
            ScaPreError: If there are more than are read of a name.
        """
        return self._known(text)

    def _cut(self, text: str) -> Ids:
        ids = self._pieces(literal(text))
        ids = ids[: ids.index(self._end)] if self._end in ids else ids
        check_length(text, ids)
        return ids


class WholeEncoder(ABC):
    """An encoder that reads a text whole however little of it is wanted; texts that were read are kept for a while."""

    def __init__(self, file: TensorFile, cut: SentenceCutter, embeddings: Embeddings, filled: int = 0) -> None:
        """Takes what it reads with.

        Args:
            file: That has the weights, for messages.
            cut: Cuts texts.
            embeddings: Of their tokens.
            filled: How many tokens padding fills a text up to.
        """
        self._where = f"{file.field}: {shorten(file.path.name)}"
        self._ids, self._embeddings, self._filled = cut, embeddings, filled
        self._held: dict[Ids, Tensor] = {}
        self._coming: list[Ids] = []

    @abstractmethod
    def _run(self, keys: Sequence[Ids], told: Told) -> list[Tensor]:
        """States of texts, (tokens, width) each."""

    @abstractmethod
    def _window(self, rows: Tensor, words: int, start: Tensor) -> Tensor:
        """The engine's window of a text's states, (window, width)."""

    def _key(self, text: str) -> Ids:
        """What a text is known by: its tokens."""
        return self._ids(text)

    def _words(self, key: Ids) -> int:
        """Tokens of its words."""
        return len(key)

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
        found = Lexicon.of(self._ids.vocabulary(), self._embeddings)
        return found if len(found.words) > 1 else None

    def read_ahead(self, texts: Sequence[str], progress: Progress = silent) -> None:
        """Reads texts together that are asked for one batch after another: each time the whole file would be read."""
        self._coming = [key for key in sorted(set(map(self._key, texts)), key=len) if key not in self._held]
        self._read(self._coming[:1], progress)

    def _read(self, asked: Iterable[Ids], progress: Progress = silent) -> None:
        """Reads what is asked for and not there, and with it what is to come, as far as that may be kept."""
        asked = {self._key(""): True} | dict.fromkeys(asked, True)
        new = [key for key in asked if key not in self._held]
        if not new:
            return
        width = self._embeddings.shape[1]
        room = _MOST // width - self._tokens(new)
        for key in self._coming:
            if key not in self._held and key not in asked and (room := room - self._tokens([key])) > 0:
                new.append(key)
        if self._tokens([*self._held, *new]) * width > _MOST:
            self._held = {key: states for key, states in self._held.items() if key in asked}
        try:
            found = self._run(new, lambda done, total: progress(_STAGE, done, total))
        except RuntimeError as error:
            if "memory" in str(error):
                raise
            raise ScaPreError(
                f"{self._where}: weights of the text encoder do not fit each other ({shorten(error, 120)}). The file "
                "is damaged or of another model; get it again."
            ) from None
        self._held |= {key: states[: WINDOW + 1].clone() for key, states in zip(new, found, strict=True)}

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """Windows of the texts, (texts, tokens, width), float32."""
        self._read(map(self._key, texts), progress)
        return self._windows(texts, WINDOW)

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """The first positions of the windows, (texts, length, width), float32."""
        self._read(map(self._key, texts))
        return self._windows(texts, length)

    def _windows(self, texts: Sequence[str], length: int) -> Tensor:
        start, keys = self._start(), [self._key(text) for text in texts]
        return torch.stack([self._window(self._held[key], self._words(key), start)[:length] for key in keys])

    def _start(self) -> Tensor:
        """What stands for the start of a text, (width,): what the empty prompt's end says."""
        return self._held[self._key("")][0]

    def _tokens(self, keys: Iterable[Ids]) -> int:
        """Of texts with their ends, and with what fills them up."""
        return sum(max(self._words(key) + 1, self._filled) for key in keys)


class SentenceEncoder(WholeEncoder):
    """The states that a host's T5 gives for the same file; see `states.sentences` for their order."""

    def __init__(self, file: T5File, cut: SentenceCutter, reads: TextEncoder) -> None:
        """Takes the weights, what cuts texts, and how the model reads behind a text's end."""
        super().__init__(file.file, cut, Rows(file), min(reads.filled, WINDOW + 1) if reads.masked else reads.filled)
        self._masked = reads.masked
        self.model, self._behind, self._special = T5(file), reads.behind, (reads.end, reads.padding)

    def _run(self, keys: Sequence[Ids], told: Told) -> list[Tensor]:
        end, padding = self._special
        if self._masked:
            return self.model([(*ids, end) for ids in keys], told, filled=self._filled, padding=padding)
        return self.model([(*ids, end, *[padding] * (self._filled - len(ids) - 1)) for ids in keys], told)

    def _window(self, rows: Tensor, words: int, start: Tensor) -> Tensor:
        return ordered(rows, words, start, rows[words + 1 :] if self._behind is None else self._behind)


class Vectors:
    """CLIP beside another encoder, for the pooled vectors alone."""

    _clip: Callable[[], CheckpointEncoder]
    _found: CheckpointEncoder | None = None

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """CLIP's pooled vectors, (texts, width), float32.

        Raises:
            ScaPreError: If CLIP is not there, or a text is longer than what it reads at once.
        """
        if self._found is None:
            self._found = self._clip()
        try:
            return self._found.pooled(texts)
        except ScaPreError as error:
            raise ScaPreError(
                f"{error} It is for the pooled vector of CLIP-L, which --pooled off leaves out."
            ) from None


class VectorsBeside(Vectors, SentenceEncoder):
    """T5, and CLIP for the vectors."""

    def __init__(
        self, file: T5File, cut: SentenceCutter, reads: TextEncoder, clip: Callable[[], CheckpointEncoder]
    ) -> None:
        """Takes what a `SentenceEncoder` does, and what gives CLIP when it is asked for."""
        super().__init__(file, cut, reads)
        self._clip = clip
