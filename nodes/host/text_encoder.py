"""The host's CLIP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...scapre.errors import ScaPreError, shorten
from ...scapre.families import supported
from ...scapre.files.cache import Cache
from ...scapre.progress import Progress
from ...scapre.states.lexicon import Lexicon
from .folders import cache_folder
from .prefixes import PrefixEncoder

log = logging.getLogger("scapre")

_CLIP_ENCODERS = {"l", "h", "g"}
_BATCH = 32
_PROBED = 16
_REMEMBERED = 65_536
_PROBE = "a cat beside a red house, in the style of an old master"


class ClipEncoder:
    """The host's CLIP text encoders as the engine wants them: literal text, in batches."""

    def __init__(self, clip: Any) -> None:
        """Takes the CLIP input.

        Raises:
            ScaPreError: If it is missing or no CLIP text encoder.
        """
        if clip is None:
            raise ScaPreError(
                "clip: it is missing. This loader gives no text encoder (it loads a diffusion model alone); add a "
                "Load CLIP node with the text encoder that belongs to the model."
            )
        self.clip = clip
        self._prefixed: bool | None = None
        self._known = lru_cache(_REMEMBERED)(self._ids_of)  # a method asks of a text again and again
        unknown = set(self._tokens("")) - _CLIP_ENCODERS
        if unknown:
            raise ScaPreError(
                f"clip: {shorten(', '.join(sorted(unknown)))} is not a text encoder of a supported model. "
                f"Supported: {supported()}."
            )

    def _tokens(self, text: str) -> dict[str, list[list[tuple[int, float]]]]:
        # Weights, embeddings and brackets are prompt syntax; in a name they are letters like any others.
        literal = text.replace("embedding:", "embedding :").replace("<|", "< |")
        try:
            return self.clip.tokenize(literal, disable_weights=True)
        except TypeError:  # tokenizers that never read weights do not take the keyword
            return self.clip.tokenize(literal)

    def tokens(self, text: str) -> Sequence[int]:
        """Ids of a text's tokens between the start and the end token.

        Raises:
            ScaPreError: If the text is longer than the encoder's window.
        """
        return self._known(text)

    def _ids_of(self, text: str) -> tuple[int, ...]:
        sections = next(iter(self._tokens(text).values()))
        if len(sections) > 1:
            window = len(sections[0]) - 2
            raise ScaPreError(
                f"{shorten(text)} needs more than the {window} tokens that the text encoder reads at once. "
                "Shorten the name, or use a shorter template."
            )
        ids = [entry[0] for entry in sections[0]]
        return tuple(ids[1 : ids.index(_end_token(ids), 1)])

    def remembered(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, or gave earlier for this encoder and key: kept in the host's user folder."""
        return Cache(cache_folder()).get(key, self.encode_prefixes([_PROBE], _PROBED)[0], make)

    def lexicon(self) -> Lexicon | None:
        """The words of the first encoder's vocabulary; None where this host keeps them elsewhere."""
        name = f"clip_{next(iter(self._tokens('')))}"
        tokenizer = getattr(getattr(self.clip, "tokenizer", None), name, None)
        encoder = getattr(getattr(self.clip, "cond_stage_model", None), name, None)
        if tokenizer is None or encoder is None:
            return None
        try:
            embeddings = encoder.transformer.get_input_embeddings().weight
            vocabulary = tokenizer.tokenizer.get_vocab()
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            log.info("the vocabulary of %s cannot be read: %s", name, error)
            return None
        return Lexicon.of(vocabulary, embeddings.detach().to("cpu", torch.float32))

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """States of the texts, (texts, tokens, width), float32 on the CPU."""
        states = []
        for first in range(0, len(texts), _BATCH):
            progress("text encoding", first, len(texts))
            states.append(self._whole(texts[first : first + _BATCH]))
        progress("text encoding", len(texts), len(texts))
        return torch.cat(states)

    def encode_prefixes(self, texts: Sequence[str], length: int) -> Tensor:
        """States of the first positions of the texts, (texts, length, width), float32 on the CPU."""
        if not self._prefixes_fit():
            return self._whole(texts)[:, :length]
        return PrefixEncoder(self.clip)(_ids(self._merged(texts)), length)

    def conditioning(self, text: str) -> Any:
        """What CLIP Text Encode gives for a text without any prompt syntax.

        Raises:
            ScaPreError: If it is longer than the encoder's window.
        """
        self.tokens(text)
        return self.clip.encode_from_tokens_scheduled(self._tokens(text))

    def _whole(self, texts: Sequence[str]) -> Tensor:
        batch = self.clip.encode_from_tokens(self._merged(texts))
        return batch.reshape(len(texts), -1, batch.shape[-1]).to("cpu", torch.float32)

    def _merged(self, texts: Sequence[str]) -> dict[str, list[list[tuple[int, float]]]]:
        tokens = [self._tokens(text) for text in texts]
        return {encoder: [section for entry in tokens for section in entry[encoder]] for encoder in tokens[0]}

    def _prefixes_fit(self) -> bool:
        """Whether prefixes can be encoded on their own here; the host's call that finds out also loads the encoder.

        It is asked once: one of these is made for a run of a node, and in the run nothing moves the weights away.
        """
        if self._prefixed is None:
            states = self._whole([_PROBE])
            self._prefixed = PrefixEncoder(self.clip).fits(_ids(self._merged([_PROBE])), states)
        return self._prefixed


def _ids(merged: Mapping[str, Sequence[Sequence[tuple[int, float]]]]) -> dict[str, list[list[int]]]:
    """Token ids alone, by encoder."""
    return {name: [[entry[0] for entry in part] for part in parts] for name, parts in merged.items()}


def _end_token(ids: Sequence[int]) -> int:
    return max(ids)  # the end token is the last of CLIP's vocabulary; padding is the same or 0
