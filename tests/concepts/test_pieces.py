"""Which words a tokeniser cuts oddly. How CLIP cuts real names is tested with the host's tokeniser."""

from __future__ import annotations

import pytest

from pack.scapre.concepts.pieces import odd_words

ODD = ["ko sz t ka", "x q zzy k", "a b c d e", "bek si \ufffd \ufffd ski", "\ufffd \ufffd"]
PLAIN = ["", "gogh", "k lim t", "yo sh it aka", "h under tw as ser", "é", "x y z"]


@pytest.mark.parametrize("pieces", ODD)
def test_a_word_in_bits_is_odd(pieces: str) -> None:
    assert odd_words([["van"], pieces.split(), ["gogh"]]) == [tuple(pieces.split())]


@pytest.mark.parametrize("pieces", PLAIN)
def test_a_word_in_a_few_good_pieces_is_not(pieces: str) -> None:
    assert odd_words([pieces.split()]) == []
