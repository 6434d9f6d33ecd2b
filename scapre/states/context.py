"""A text encoder whose states are led to what a model's projections read of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import ScaPreError
from ..families import Context
from ..progress import Progress
from .encoder import Encoder, ReadsAhead, frame_of
from .lexicon import Lexicon


class ContextEncoder:
    """An encoder with a model's own network behind it; everything else is the encoder's."""

    def __init__(self, encoder: Encoder, context: Context) -> None:
        """Takes both."""
        self._encoder, self._context = encoder, context

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens; see `Encoder`."""
        return self._encoder.tokens(text)

    def read_ahead(self, texts: Sequence[str], progress: Progress) -> None:
        """Tells an encoder that wants to know it what it will be asked for."""
        if isinstance(self._encoder, ReadsAhead):
            self._encoder.read_ahead(texts, progress)

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """What the projections read of the texts, (texts, tokens, d), float32."""
        return self._led(self._encoder.encode(texts, progress))

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """The same of the first positions of the texts, (texts, length, d), float32."""
        return self._led(self._encoder.encode_prefixes(texts, length))

    def frame(self) -> Tensor:
        """What stands in every prompt, led through the network; maybe nothing."""
        found = frame_of(self._encoder)
        return torch.empty(0) if found is None else self._led(found)

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, or gave earlier for this encoder, this network and key."""
        return self._encoder.remembered(f"{key}\0{self._context.digest}", make)

    def lexicon(self) -> Lexicon | None:
        """The words of the encoder's vocabulary."""
        return self._encoder.lexicon()

    @torch.no_grad()
    def _led(self, states: Tensor) -> Tensor:
        if states.shape[-1] != self._context.width:
            raise ScaPreError(
                f"clip: the text encoder gives states of width {states.shape[-1]}, but this model takes "
                f"{self._context.width}. Connect the CLIP that belongs to the model."
            )
        return self._context.apply(states)
