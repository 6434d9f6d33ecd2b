"""The host's tokenisers, without a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from comfy.sd1_clip import SD1Tokenizer

from ...scapre.concepts.pieces import BROKEN, SPACE
from .text_encoder import ClipEncoder

_UNKNOWN = re.compile(r"<unk>|<0x[0-9A-F]{2}>")  # what sentencepiece has no piece for, or only its bytes


@cache
def _encoder() -> ClipEncoder:
    return ClipEncoder(NameTokenizer())


def tokens_here(text: str) -> Sequence[int]:
    """Token ids of a text as this installation cuts it.

    Raises:
        ScaPreError: If it has more tokens than the text encoder reads at once.
    """
    return _encoder().tokens(text)


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
