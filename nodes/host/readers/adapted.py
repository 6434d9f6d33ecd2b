"""An encoder whose states a network of the model reads beside T5's tokens of the same text, as Anima does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ....scapre.states.sentences import WINDOW
from .reader import Sections
from .sentences import SentenceReader


class AdaptedReader(SentenceReader):
    """Reads what the network gives for T5's tokens; behind a text's end the host puts zeros."""

    _padding = 0.0

    def _batches(self, texts: Sequence[Sections]) -> Iterator[list[int]]:
        """One text at a time, since the host keeps the tokens of one."""
        return iter([[place] for place in range(len(texts))])

    @torch.no_grad()
    def _encoded(self, texts: Sequence[Sections], length: int = WINDOW) -> Tensor:
        (text,) = texts
        states = self.clip.encode_from_tokens(text)
        ids = torch.tensor([[entry[0] for entry in text[self.name][0]]])
        if self.network is None:
            raise TypeError("these states are read with the model's own network")
        return self.network(states.float().cpu(), ids)
