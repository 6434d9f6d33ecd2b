"""The host's tokenisers, without a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from comfy.sd1_clip import SD1Tokenizer
from comfy.text_encoders.pixart_t5 import PixArtTokenizer
from comfy.text_encoders.z_image import ZImageTokenizer

from ...scapre.concepts.pieces import BROKEN, SPACE
from ...scapre.edits.agreement import tokens_notes
from ...scapre.edits.edit import Edit
from ...scapre.families import CLIP, TextEncoder, text_encoder
from .text_encoder import ClipEncoder

# The host has these vocabularies; those of UMT5 and some others are in the encoder's file.
_OF_T5 = frozenset({"t5xxl", "t5base", "qwen3_06b"})
_OF_QWEN = frozenset({"qwen25_7b", "qwen25_3b", "qwen3_4b", "qwen3_8b"})
_UNKNOWN = re.compile(r"<unk>|<0x[0-9A-F]{2}>")  # what sentencepiece has no piece for, or only its bytes


@cache
def _encoder(tokenizer: Callable[[], SD1Tokenizer]) -> ClipEncoder:
    return ClipEncoder(NameTokenizer(tokenizer()))


def _tokenizer(wanted: TextEncoder) -> Callable[[], SD1Tokenizer] | None:
    """What cuts names as an encoder does, if the host has its vocabulary; another model's with the same will do."""
    if wanted.is_clip:
        return SD1Tokenizer
    if wanted.names & _OF_T5:
        return PixArtTokenizer
    return ZImageTokenizer if wanted.names & _OF_QWEN else None


def tokens_here(text: str, family: str | None = None) -> Sequence[int]:
    """Token ids of a text as this installation cuts it; none where it needs a file of the encoder's for that.

    Args:
        text: Literal.
        family: Title of the model family that it is for; None for one that reads CLIP.

    Raises:
        ScaPreError: If it has more tokens than the text encoder reads at once.
    """
    tokenizer = _tokenizer(text_encoder(family) if family else CLIP)
    return _encoder(tokenizer).tokens(text) if tokenizer else ()


def tokens_told(edit: Edit) -> tuple[str, ...]:
    """What to say where this installation cuts an edit's names into other tokens than the one it was made on."""
    return tokens_notes(edit, lambda text: tokens_here(text, edit.family))


class NameTokenizer:
    """Called as a CLIP is, and cuts names as that would."""

    def __init__(self, tokenizer: SD1Tokenizer | None = None) -> None:
        """Takes one of the host's; None for that of CLIP-L, which cuts names as all CLIPs do."""
        self._whole = tokenizer or SD1Tokenizer()
        self._part = getattr(self._whole, self._whole.clip)

    def tokenize(self, text: str, **options: Any) -> dict[str, list[list[tuple[int, float]]]]:
        """As the host's CLIP has it."""
        return self._whole.tokenize_with_weights(text, **options)

    def pieces(self, tokens: Mapping[str, list[list[tuple[int, float]]]]) -> Iterator[tuple[int, str, str]]:
        """Each token as number, as the vocabulary has it and as text, without those that only fill the window."""
        special = {self._part.start_token, self._part.end_token, self._part.pad_token}
        for section in tokens[self._whole.clip_name]:
            for entry, token in self._part.untokenize([entry for entry in section if entry[0] not in special]):
                yield entry[0], token, self._text(entry[0], token)

    def _text(self, number: int, token: str) -> str:
        if _UNKNOWN.fullmatch(token):
            return BROKEN
        text = str(self._whole.decode([number])).strip()
        return text or (SPACE if token.startswith(SPACE) else "")
