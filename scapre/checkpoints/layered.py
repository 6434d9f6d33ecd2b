"""HiDream's encoders: T5 with pooled vectors of CLIP's, and beside them many layers of a language model.

A language model is run layer by layer from its file, all texts together. So the states behind eight layers are taken at
once, and its file is read four times and not 32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from ..families.chat import Chat
from ..families.family import TextEncoder
from ..progress import Progress
from ..states.lexicon import Lexicon
from .chats import ChatCutter, ChatEncoder
from .encoder import CheckpointEncoder
from .language_models import LanguageModel
from .sentences import SentenceCutter, VectorsBeside
from .t5_file import T5File

_TOGETHER = 8


class LayeredEncoder(VectorsBeside):
    """T5 and CLIP's vectors, and the layers of a language model one by one."""

    def __init__(
        self,
        file: T5File,
        cut: SentenceCutter,
        reads: TextEncoder,
        clip: Callable[[], CheckpointEncoder],
        model: LanguageModel,
        chat_cut: ChatCutter,
        chat: Chat,
    ) -> None:
        """Takes what `VectorsBeside` does, the language model, what cuts texts for it, and how it is read."""
        super().__init__(file, cut, reads, clip)
        self._language, self.chat_cut, self._chat = model, chat_cut, chat
        self._group: tuple[int, ChatEncoder] | None = None

    def layer(self, number: int) -> LayerEncoder:
        """The states behind one of the layers, from 0."""
        return LayerEncoder(self, number)

    def together(self, number: int) -> tuple[ChatEncoder, slice]:
        """What reads a layer and those beside it, and which of its states are the layer's."""
        first, width = number - number % _TOGETHER, self._language.width
        if self._group is None or self._group[0] != first:
            layers = tuple(range(first + 1, first + 1 + _TOGETHER))
            chat = replace(self._chat, layers=layers)
            self._group = first, ChatEncoder(self._language, self.chat_cut, chat)
        place = (number - first) * width
        return self._group[1], slice(place, place + width)


class LayerEncoder:
    """The states behind one layer."""

    def __init__(self, whole: LayeredEncoder, number: int) -> None:
        """Takes the encoder of all layers, and which one."""
        self._whole, self._number = whole, number

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens; see `Encoder`."""
        return self._whole.chat_cut(text)

    def read_ahead(self, texts: Sequence[str], progress: Progress) -> None:
        """See `ReadsAhead`."""
        self._whole.together(self._number)[0].read_ahead(texts, progress)

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32."""
        read, own = self._whole.together(self._number)
        return read.encode(texts, progress)[..., own]

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """States of the first positions of the texts, (texts, length, width), float32."""
        read, own = self._whole.together(self._number)
        return read.encode_prefixes(texts, length)[..., own]

    def frame(self) -> Tensor:
        """What stands before every text, (positions, width), float32."""
        read, own = self._whole.together(self._number)
        return read.frame()[..., own]

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives; nothing is kept."""
        return make()

    def lexicon(self) -> Lexicon | None:
        """The words of the language model's vocabulary."""
        return self._whole.together(self._number)[0].lexicon()
