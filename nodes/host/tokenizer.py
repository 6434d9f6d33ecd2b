"""The host's tokenisers, without a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ...scapre.concepts.pieces import BROKEN, LATER, SPACE, Cut
from ...scapre.edits.agreement import tokens_notes
from ...scapre.edits.edit import Edit
from ...scapre.families import text_encoder
from ...scapre.families.family import Files
from ...scapre.states.readings import of_both
from .text_encoder import ClipEncoder
from .vocabularies import CLIP, Vocabulary, of_parts

_UNKNOWN = re.compile(r"<unk>|\[UNK\]|<0x[0-9A-F]{2}>")  # what has no piece, or only its bytes


@cache
def _encoder(vocabulary: Vocabulary) -> ClipEncoder:
    return ClipEncoder(NameTokenizer(vocabulary))


def tokens_here(text: str, vocabulary: Vocabulary = CLIP) -> Sequence[int]:
    """Token ids of a text as this installation cuts it.

    Args:
        text: Literal.
        vocabulary: One of the host's own.

    Raises:
        ScaPreError: If it has more tokens than the text encoder reads at once.
    """
    return _encoder(vocabulary).tokens(text)


def tokens_told(edit: Edit) -> tuple[str, ...]:
    """What to say where this installation cuts an edit's names into other tokens than the one it was made on.

    Nothing where that cannot be told: the host lacks some vocabularies, which are in the files of their encoders.
    """
    wanted = text_encoder(edit.family)
    # Of two encoders side by side the first cuts the names; of one by itself nobody says which it was.
    alone = wanted.files is Files.CLIP_AND_T5 and not of_both(edit.templates)
    vocabulary = None if alone else of_parts(wanted.names)
    return tokens_notes(edit, lambda text: tokens_here(text, vocabulary)) if vocabulary else ()


class NameTokenizer:
    """Called as a CLIP is, and cuts names as that would."""

    def __init__(self, vocabulary: Vocabulary = CLIP, data: Any = None) -> None:
        """Loads it.

        Args:
            vocabulary: Which one.
            data: What an encoder's file has of it, for those that the host has not.
        """
        self.tokenizer = vocabulary.load(data)
        self._part = getattr(self.tokenizer, self.tokenizer.clip)
        self._later = vocabulary.cut is Cut.BERT

    def tokenize(self, text: str, **options: Any) -> dict[str, list[list[tuple[int, float]]]]:
        """As the host's CLIP has it."""
        return self.tokenizer.tokenize_with_weights(text, **options)

    def pieces(self, tokens: Mapping[str, list[list[tuple[int, float]]]]) -> Iterator[tuple[int, str, str]]:
        """Each token as number, as the vocabulary has it and as text, without those that only fill the window."""
        special = {self._part.start_token, self._part.end_token, self._part.pad_token}
        for section in tokens[self.tokenizer.clip_name]:
            for entry, token in self._part.untokenize([entry for entry in section if entry[0] not in special]):
                yield entry[0], token, self._text(entry[0], token)

    def _text(self, number: int, token: str) -> str:
        if _UNKNOWN.fullmatch(token):
            return BROKEN
        text = str(self.tokenizer.decode([number])).strip().removeprefix(LATER if self._later else "")
        return text or (SPACE if token.startswith(SPACE) else "")
