"""Which words a tokeniser cuts oddly. How CLIP cuts real names is tested with the host's tokeniser."""

from __future__ import annotations

import pytest

from pack.scapre.concepts.pieces import Cut, odd_words, words_of

ODD = ["ko sz t ka", "x q zzy k", "a b c d e", "bek si \ufffd \ufffd ski", "\ufffd \ufffd"]
PLAIN = ["", "gogh", "k lim t", "yo sh it aka", "h under tw as ser", "é", "x y z"]


@pytest.mark.parametrize("pieces", ODD)
def test_a_word_in_bits_is_odd(pieces: str) -> None:
    assert odd_words([["van"], pieces.split(), ["gogh"]]) == [tuple(pieces.split())]


@pytest.mark.parametrize("pieces", PLAIN)
def test_a_word_in_a_few_good_pieces_is_not(pieces: str) -> None:
    assert odd_words([pieces.split()]) == []


@pytest.mark.parametrize("pieces", ["x q zz y k", "\u2581 t ux e d o", "g o \ufffd h", "\ufffd"])
def test_a_word_in_bits_is_odd_to_sentencepiece_too(pieces: str) -> None:
    assert odd_words([pieces.split()], Cut.SENTENCES) == [tuple(pieces.split())]


@pytest.mark.parametrize("pieces", ["Ka h l o", "Ho ku s a i", "\u2581 bok e h", "Ar c im bol d o"])
def test_a_word_that_sentencepiece_cuts_finer_is_not(pieces: str) -> None:
    assert odd_words([pieces.split()], Cut.SENTENCES) == []


def test_a_word_ends_where_clip_says_so_and_begins_where_sentencepiece_does() -> None:
    clip = [("carav", "carav"), ("aggio</w>", "aggio"), ("red</w>", "red"), ("x", "x")]
    assert words_of(clip) == (("carav", "aggio"), ("red",), ("x",))
    sentences = [("\u2581Car", "Car"), ("ava", "ava"), ("\u2581", "\u2581"), ("x", "x"), ("\u2581red", "red")]
    assert words_of(sentences, Cut.SENTENCES) == (("Car", "ava"), ("\u2581", "x"), ("red",))
    assert words_of([]) == ()
