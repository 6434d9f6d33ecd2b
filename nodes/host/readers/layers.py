"""HiDream's encoders: T5, and beside it many layers of Llama, of which each is read by matrices of its own.

The host runs all encoders for every text, and gives all layers at once. So the encoders that are not asked are given
next to no text, and the states of some layers are kept while there is room, until a later layer is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ....scapre.errors import ScaPreError
from ....scapre.states.sentences import WINDOW
from .beside import NO_SENTENCE
from .chats import ChatReader
from .reader import Sections
from .sentences import SentenceReader

_T5, _LLAMA = "t5xxl", "llama"
LAYERS = "conditioning_llama3"
"""What the host calls the states behind all layers."""
_NO_TEXT = [[(128_000, 1.0)]]  # Llama's start
_TOGETHER = 8  # layers
_ROOM = 2 * 1024**3  # bytes of states that are kept


class PaddedReader(SentenceReader):
    """HiDream's T5, whose padding the model reads, though T5 itself does not."""

    _padding = None

    @classmethod
    def there(cls, model: Any) -> bool:
        """Whether it was loaded, and Llama."""
        return getattr(model, _T5, None) is not None and getattr(model, _LLAMA, None) is not None

    def vectors(self, texts: Sequence[Sections]) -> Tensor:
        """CLIP's.

        Raises:
            ScaPreError: If it was not loaded.
        """
        model = self.clip.cond_stage_model
        if model.clip_l is None or model.clip_g is None:
            raise ScaPreError(
                "clip: CLIP-L and CLIP-G are not loaded, so there is no pooled vector of a text. Load them with the "
                "others (Load CLIP (Quadruple)), or set pooled to off."
            )
        return super().vectors(texts)

    def _encoded(self, texts: Sequence[Sections], length: int = WINDOW) -> Tensor:
        most = max(length, *(len(self._words(text)) + 1 for text in texts))
        return super()._encoded([{**text, _T5: [text[_T5][0][:most]]} for text in texts], length)

    def _asked(self, tokens: Sections) -> Tensor:
        found: Tensor = self.clip.encode_from_tokens({**tokens, "l": [], "g": [], _LLAMA: _NO_TEXT})
        return found


class Kept:
    """States of texts behind some of the layers, by the tokens."""

    def __init__(self) -> None:
        """Keeps none."""
        self._first = 0
        self._states: dict[tuple[int, ...], Tensor] = {}
        self._room = _ROOM

    def get(self, ids: tuple[int, ...], layer: int, length: int) -> Tensor | None:
        """States of a text behind a layer, (tokens, width), if they are kept as far as they are needed."""
        if not self._first <= layer < self._first + _TOGETHER:
            self._first, self._states, self._room = layer, {}, _ROOM
        found = self._states.get(ids)
        return found[layer - self._first] if found is not None and found.shape[1] >= length else None

    def put(self, ids: tuple[int, ...], states: Tensor) -> None:
        """Keeps the states of a text, (layers, tokens, width), if there is room."""
        some, old = states[self._first : self._first + _TOGETHER], self._states.get(ids)
        needed = some.nbytes - (0 if old is None else old.nbytes)
        if needed <= self._room:
            self._states[ids] = some.clone()
            self._room -= needed


class LayerReader(ChatReader):
    """The states behind one of Llama's layers."""

    remembers = False

    def __init__(self, clip: Any, layer: int, kept: Kept) -> None:
        """Takes the host's CLIP, the layer from 0, and what all layers keep in common."""
        super().__init__(clip, _LLAMA)
        self._layer, self._kept = layer, kept

    def _encoded(self, texts: Sequence[Sections], length: int = WINDOW) -> Sequence[Tensor]:
        return [states[self._before :] for states in self._read(texts, length)]

    def _read(self, texts: Sequence[Sections], length: int) -> list[Tensor]:
        """States of each text, its start among them, (tokens, width): what is not kept is read."""
        ids = [self._bare(text) for text in texts]
        wanted = [max(self._before + length, len(some)) for some in ids]
        kept = [self._kept.get(some, self._layer, most) for some, most in zip(ids, wanted, strict=True)]
        found = {place: states for place, states in enumerate(kept) if states is not None}
        missing = [place for place in range(len(texts)) if place not in found]
        if missing:
            read = self._all([texts[place] for place in missing], length)
            for place, states in zip(missing, read, strict=True):
                self._kept.put(ids[place], states[:, : wanted[place]])
                found[place] = states[self._layer]
        return [found[place] for place in range(len(texts))]

    @cached_property
    def _empty(self) -> tuple[Tensor, Tensor]:
        """The first padding of the empty prompt, and Llama's start."""
        (states,) = self._read([self.clip.tokenize("")], 1)
        return states[self._before], states[: self._before]

    def _all(self, texts: Sequence[Sections], length: int) -> Tensor:
        """Behind every layer, (texts, layers, tokens, width)."""
        ids = [self._bare(text) for text in texts]
        longest = max(self._before + length, *map(len, ids))
        given = {self.name: self._filled(ids, longest), "l": [], "g": [], _T5: NO_SENTENCE}
        states: Tensor = self.clip.encode_from_tokens(given, return_dict=True)[LAYERS][0].to("cpu", torch.float32)
        return states.unflatten(1, (len(texts), longest)).transpose(0, 1)
