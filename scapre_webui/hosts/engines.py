"""The CLIP text encoders of both hosts, which share the names and ways of those that they descend from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...scapre.checkpoints.tokenizer import literal
from ...scapre.errors import ScaPreError, shorten
from ...scapre.files.cache import Cache
from ...scapre.progress import Progress
from ...scapre.states.lexicon import Lexicon

log = logging.getLogger("scapre")

Encode = Callable[[Any, Tensor], Tensor]

_BATCH = 32
_PROBED = 16
_REMEMBERED = 65_536
_CLOSE = 1e-5
_PROBE = "a cat beside a red house, in the style of an old master"


class EngineEncoder:
    """A host's text encoders as the engine wants them: literal text, in batches.

    Names are not prompts: no weights, no embeddings, no BREAK. So the parts behind the prompt's syntax are called.
    """

    def __init__(self, engines: Sequence[Any], encode: Encode, cache: Path) -> None:
        """Takes the encoders in the order in which their states stand side by side.

        Args:
            engines: With `tokenize`, the ids of start, end and padding, and `chunk_length`.
            encode: States (texts, tokens, width) of an encoder for token ids (texts, tokens).
            cache: Folder for what is read of the encoder.
        """
        self._engines, self._encode, self._cache = list(engines), encode, cache
        self._window = min(engine.chunk_length for engine in engines)
        self._known = lru_cache(_REMEMBERED)(self._ids_of)
        self._prefixed: bool | None = None

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens between the start and the end token.

        Raises:
            ScaPreError: If the text is longer than the encoder's window.
        """
        return self._known(text)

    def _ids_of(self, text: str) -> tuple[int, ...]:
        ids = tuple(self._engines[0].tokenize([literal(text)])[0])
        if len(ids) > self._window:
            raise ScaPreError(
                f"{shorten(text)} needs more than the {self._window} tokens that the text encoder reads at once. "
                "Shorten the name, or use a shorter template."
            )
        return ids

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, or gave earlier for this encoder and key: kept on disk."""
        return Cache(self._cache).get(key, self.encode_prefixes([_PROBE], _PROBED)[0], make)

    def lexicon(self) -> Lexicon | None:
        """The words of the first encoder's vocabulary; None where this host keeps them elsewhere."""
        try:
            vocabulary, embeddings = _vocabulary(self._engines[0])
        except (AttributeError, ImportError, TypeError) as error:
            log.info("the vocabulary of the text encoder cannot be read: %s", error)
            return None
        return Lexicon.of(vocabulary, embeddings.detach().to("cpu", torch.float32).clone())

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32 on the CPU."""
        states = []
        for first in range(0, len(texts), _BATCH):
            progress("text encoding", first, len(texts))
            states.append(self._states(texts[first : first + _BATCH], self._window + 2))
        progress("text encoding", len(texts), len(texts))
        return torch.cat(states)

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """States of the first positions of the texts, (texts, length, width), float32 on the CPU."""
        if not self._prefixes_fit():
            return self._states(texts, self._window + 2)[:, :length]
        return self._states(texts, length)

    def _prefixes_fit(self) -> bool:
        """Whether the encoders take fewer tokens than a window, and give what they give for whole ones."""
        if self._prefixed is None:
            whole = self._states([_PROBE], self._window + 2)[:, :_PROBED]
            try:
                part = self._states([_PROBE], _PROBED)
                self._prefixed = bool((part - whole).abs().max() <= _CLOSE * whole.abs().max())
            except (RuntimeError, ValueError):
                self._prefixed = False
        return self._prefixed

    @torch.no_grad()
    def _states(self, texts: Sequence[str], length: int) -> Tensor:
        tokens = [self.tokens(text) for text in texts]
        parts = [self._encode(engine, _windows(engine, tokens, self._window)[:, :length]) for engine in self._engines]
        return torch.cat([part.to("cpu", torch.float32) for part in parts], -1).clone()


def _windows(engine: Any, tokens: Sequence[Sequence[int]], window: int) -> Tensor:
    start, end, padding = engine.id_start, engine.id_end, engine.id_pad
    return torch.tensor([[start, *ids, end, *[padding] * (window - len(ids))] for ids in tokens])


def _vocabulary(engine: Any) -> tuple[dict[str, int], Tensor]:
    """Number of each token, and the embeddings (tokens, width), where both hosts have wrapped them."""
    if hasattr(engine, "text_encoder"):  # Forge
        return engine.tokenizer.get_vocab(), engine.text_encoder.transformer.get_input_embeddings().weight
    if hasattr(engine.wrapped, "transformer"):
        return engine.tokenizer.get_vocab(), engine.wrapped.transformer.get_input_embeddings().wrapped.weight
    import open_clip.tokenizer

    return open_clip.tokenizer._tokenizer.encoder, engine.wrapped.model.token_embedding.wrapped.weight
