"""The host's tokeniser, without a model: that of CLIP-L, which cuts names as those of all supported models do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from comfy.sd1_clip import SD1Tokenizer

from .text_encoder import ClipEncoder


@cache
def _encoder() -> ClipEncoder:
    return ClipEncoder(NameTokenizer())


def tokens_here(text: str) -> Sequence[int]:
    """Token ids of a text as this installation cuts it.

    Raises:
        ScaPreError: If it has more tokens than the text encoder reads at once.
    """
    return _encoder().tokens(text)


class NameTokenizer(SD1Tokenizer):
    """Called as a CLIP is."""

    def tokenize(self, text: str, **options: Any) -> dict[str, list[list[tuple[int, float]]]]:
        return self.tokenize_with_weights(text, **options)

    def pieces(self, tokens: Mapping[str, list[list[tuple[int, float]]]]) -> Iterable[tuple[str, str]]:
        """Each token as the vocabulary has it and as text, without those that only fill the window."""
        special = set(self.clip_l.tokenizer.all_special_ids)
        entries = [entry for section in tokens[self.clip_name] for entry in section if entry[0] not in special]
        return ((token, self.decode([entry[0]]).strip()) for entry, token in self.untokenize(entries))
