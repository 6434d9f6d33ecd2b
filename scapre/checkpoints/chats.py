"""A language model's states in the engine's order, as the nodes give them in ComfyUI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from ..families.chat import Chat
from ..states.chats import literal, template_of, window_of
from ..states.sentences import WINDOW, check_length
from .encoder import CheckpointEncoder
from .language_model import LanguageStates
from .language_models import LanguageModel
from .pieces import LLAMA, QWEN, Pieces, own_pieces, pieces_in
from .rows import Rows
from .sentences import Ids, SentenceCutter, Vectors, WholeEncoder
from .t5 import Told

_VOCABULARIES = {"Qwen3": QWEN, "Qwen2.5": QWEN, "Llama 3": LLAMA}  # those that are not in the models' own files
_VOCABULARY = "spiece_model"


def chat_pieces(title: str, model: Callable[[], LanguageModel], folder: Path | None = None) -> Pieces:
    """What cuts texts for a language model.

    Args:
        title: Of the model.
        model: Gives it, for one whose vocabulary is in its file.
        folder: Of the vocabulary; None looks for one.

    Raises:
        ScaPreError: If the vocabulary is missing or cannot be read.
    """
    if title in _VOCABULARIES:
        return pieces_in(_VOCABULARIES[title], folder)
    file = model().file
    own = next((name for name in file.entries if name.endswith(_VOCABULARY)), None)
    if own is None:
        raise ScaPreError(
            f"{file.field}: {shorten(file.path.name)} does not hold the vocabulary of {title} ({_VOCABULARY}). Give "
            "the file that ComfyUI's examples name."
        )
    return own_pieces(file.read(own))


class ChatCutter(SentenceCutter):
    """Ids of a name's tokens inside a template.

    Attributes:
        before: Ids of what stands before every text.
        behind: How many tokens the template has behind it.
    """

    def __init__(self, pieces: Pieces, chat: Chat) -> None:
        """Takes what cuts texts into pieces, and the template."""
        super().__init__(pieces)
        self._chat = chat
        before, self.behind = template_of(self._whole)
        self.before = self._whole("")[:before]

    def _cut(self, text: str) -> Ids:
        ids = self.read(text)
        found = ids[: len(ids) - self.behind]
        check_length(text, found)
        return found

    def read(self, text: str) -> Ids:
        """Ids of a text's tokens and of what the template has behind it."""
        return self._whole(text)[len(self.before) :]

    def _whole(self, text: str) -> Ids:
        chat = self._chat
        return (*chat.start, *self._pieces(f"{chat.before}{literal(text) or chat.empty}{chat.behind}"))


class ChatEncoder(WholeEncoder):
    """The states that a host's language model gives for the same file."""

    def __init__(self, model: LanguageModel, cut: ChatCutter, chat: Chat) -> None:
        """Takes the language model, what cuts texts for it, and how it is read."""
        super().__init__(model.file, cut, Rows(model.file, model.embeddings), WINDOW if chat.filled else 0)
        self._states = LanguageStates(model, chat.layers, normed=chat.normed, last_normed=chat.last_normed)
        self._cutter, self._chat = cut, chat
        self._before = torch.empty(0)

    @property
    def width(self) -> int:
        """Of what is read of a token."""
        return self._states.width

    def frame(self) -> Tensor:
        """What a model reads before every text, (positions, width), float32; maybe nothing."""
        self._read([])
        opened = self._cutter.before[-1:] == (self._chat.opens,)
        return self._before if self._chat.framed else self._before[-1:] if opened else torch.empty(0)

    def _key(self, text: str) -> Ids:
        return self._cutter.read(text)

    def _words(self, key: Ids) -> int:
        return len(key) - self._cutter.behind

    def _run(self, keys: Sequence[Ids], told: Told) -> list[Tensor]:
        some = [key for key in keys if key or self._filled]
        found = self._states(some, told, before=self._cutter.before, filled=self._filled, padding=self._chat.padding)
        self._before = found.before
        rows = dict(zip(some, found.texts, strict=True))
        return [rows.get(key, found.before[:0]) for key in keys]

    def _start(self) -> Tensor:
        """What the empty prompt says at its end, or else before it."""
        empty = self._key("")
        rows = self._held[empty][self._words(empty) :]
        return rows[0] if len(rows) else self._before[-1]

    def _window(self, rows: Tensor, words: int, start: Tensor) -> Tensor:
        return window_of(rows, words, start)


class VectorsBesideChat(Vectors, ChatEncoder):
    """A language model, and CLIP for the vectors."""

    def __init__(
        self, model: LanguageModel, cut: ChatCutter, chat: Chat, clip: Callable[[], CheckpointEncoder]
    ) -> None:
        """Takes what a `ChatEncoder` does, and what gives CLIP when it is asked for."""
        super().__init__(model, cut, chat)
        self._clip = clip
