"""What carries no word at a name's ends neither moves the place where erasing begins nor makes another name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pack.scapre.concepts.concepts import Concept, name_notes, parse_concepts, parse_names, parse_preserve
from pack.scapre.concepts.names import check_stored, normalise
from pack.scapre.concepts.review import review
from pack.scapre.concepts.spelling import core, plain, tidy
from pack.scapre.errors import ScaPreError

ENDS = [
    "star,", "star.", "star;", "star:", "star!", "star?", "star…", "star—", "star -", "star_", "star*", "star/",
    "star\\", "star|", "star~", "star^", "star=", "star>", "star™", "star®", "star ,;", "star...", "'star'",
    "‘star’", "`star`", "„star“", "«star»", "‹star›", "「star」", "《star》", "＂star＂", "(star)", "[star]",
    "{star}", "<star>", "（star）", "((star))", "({star})", "(star:1.2)", "(star: .9)", "(((star:1.1)))",
    "[star:0.5]", "star:1.2", "(star:1.2),", "star)", "(star", "(star:1.2", "star:1.2)", "**star**", "__star__",
    "- star", "• star", ", star", "> star", "star\u00ad", "star\u200b", "star\u200c", "star\u200d",
    "star\u2060", "\u200estar\u200f", "\u202astar\u202c", "\u2066star\u2069", "star\ufe0f", "star\u034f",
    "star\u3164", "star\u2800", "st\u00adar", "s\u200btar", "star\u200b,\u200b", "star\u00a0,", "star\u180e",
    "star\U000e0001", "¿star?", "¡star!", "¿star?!", "/star/", "//star//", "\\star\\", "-star-", "--star--", "&star&",
    "@star@", "\\(star\\)", "(star:1.2)…",
]  # fmt: skip
KEPT = [
    "Saber (Fate)", "C++", "C#", "100%", ".hack", "@name", "#1 fan", '"Weird Al" Yankovic', "(a) and (b)", "2001: 2",
    "Guns N' Roses", "don't", "e\u0301toile\u0301", "नमस्ते", "ไทย", "نمی\u200cخواهم",
    "👨\u200d👩\u200d👧", "❤\ufe0f", "🏴\U000e0067\U000e0062\U000e007f",
    "R.E.M.", "J.R.R.", "Louis C.K.", "Sammy Davis, Jr.", "Sheila E.", "Acme Inc.", "¿Quién? ¿Yo?", "/a/ and /b/",
    "</w>", "<br/>", "star</w>", "#star#", "$star$", "%star%", "¿Qué",
    "A$AP Rocky", "AC/DC", "Mr. T", "7", "...", "!?", "-ism", "C\N{MUSIC SHARP SIGN}", "*\ufe0f\u20e3",
]  # fmt: skip


@pytest.mark.parametrize("typed", ENDS)
def test_every_way_to_write_a_name_is_that_name(typed: str) -> None:
    parsed = parse_concepts(f"star\n{typed}")
    assert parsed.concepts == (Concept("star"),)
    assert normalise(typed) == "star"
    ((concept,), notes) = parse_concepts(typed).concepts, parse_concepts(typed).notes
    assert concept == Concept("star") and len(notes) == 1 and "line 1" in notes[0]
    (row,) = review(typed).rows
    assert [note["kind"] for note in row.notes] == ["cleaned"] and row.notes[0]["name"] == "star"
    with pytest.raises(ScaPreError, match="also in concepts"):
        parse_preserve(typed, (Concept("star"),))
    with pytest.raises(ScaPreError, match="different anchors"):
        parse_concepts(f"star -> a\n{typed} -> b")
    assert parse_names(typed, "remove") == ("star",) and len(name_notes(typed, "remove")) == 1


@pytest.mark.parametrize("name", KEPT)
def test_what_belongs_to_a_name_stays(name: str) -> None:
    assert tidy(name) == name
    if any(map(str.isalnum, name)) and not name.startswith("#"):
        assert parse_concepts(name).concepts == (Concept(name),) and parse_concepts(name).notes == ()


@pytest.mark.parametrize(
    ("name", "last"),
    [("star,", "star"), ("Saber (Fate)", "Saber (Fate"), ("C++", "C"), ("star\u200b.", "star"), ("❤\ufe0f", "❤"),
     ("Lego™", "Lego"), ("...", "..."), ("", ""), ("étoile\u0301.", "étoile\u0301"), ("नमस्ते!", "नमस्ते")],
)  # fmt: skip
def test_erasing_begins_at_the_last_word(name: str, last: str) -> None:
    assert core(name) == last


def test_double_quotes_keep_a_name_and_not_the_place() -> None:
    (concept,) = parse_concepts('"star,"').concepts
    assert concept.text == "star," and core(concept.text) == "star"
    assert parse_concepts('star\n"star,"').concepts == (Concept("star"),)
    assert parse_concepts('"star",\n“moon”;').concepts == (Concept("star"), Concept("moon"))


def test_an_anchor_is_cleaned_as_well() -> None:
    parsed = parse_concepts("cat -> dog,\nowl", "(art:1.1)")
    assert parsed.concepts == (Concept("cat", "dog"), Concept("owl", "art"))
    assert [note.split(":")[0] for note in parsed.notes] == ["anchor", "line 1"]


@pytest.mark.parametrize(
    ("typed", "name"),
    [("saber \\(fate\\)", "saber (fate)"), ("(saber \\(fate\\):1.2)", "saber (fate)"), ("a \\\\[b\\\\]", "a [b]"),
     ("R.E.M.,", "R.E.M."), ("R.E.M..", "R.E.M."), ("U.S.A.!", "U.S.A."), ("/AC/DC/", "AC/DC"),
     ("-Jean-Luc-", "Jean-Luc"), ("- Jean-Luc -", "Jean-Luc"), ("¡Three Amigos!", "Three Amigos")],
)  # fmt: skip
def test_what_pairs_up_is_left_out_together_and_noted(typed: str, name: str) -> None:
    parsed = parse_concepts(typed)
    assert parsed.concepts == (Concept(name),)
    assert parsed.notes == (f'line 1: "{typed}" is read as "{name}"',)


def test_the_dot_of_an_abbreviation_makes_no_other_name() -> None:
    assert parse_concepts("R.E.M.\nr.e.m").concepts == (Concept("R.E.M."),)
    with pytest.raises(ScaPreError, match="also in concepts"):
        parse_preserve("Sammy Davis, Jr", (Concept("Sammy Davis, Jr."),))


def test_a_byte_order_mark_is_no_part_of_a_text() -> None:
    assert parse_concepts("\ufeffstar\ufeff").concepts == (Concept("star"),)


def test_what_no_one_sees_is_told_in_other_words() -> None:
    (note,) = parse_concepts("st\u00adar").notes
    assert note == 'line 1: characters that no one sees are taken out of "star"'
    assert review("st\u00adar").rows[0].notes[0]["unseen"] is True
    assert review("star,").rows[0].notes[0]["unseen"] is False


def test_a_long_list_is_told_in_a_few_notes() -> None:
    notes = parse_concepts("\n".join(f"name {number}," for number in range(300))).notes
    assert len(notes) == 6 and notes[-1] == "and 295 more names were cleaned like that"


@pytest.mark.parametrize("line", ["cat --> dog", "cat => dog", "cat ==> dog", "cat ⇒ dog", "cat ➜ dog", "cat ⟶ dog",
                                  "cat -> dog", "cat → dog", "cat➡\ufe0fdog", "cat ——> dog", "cat ↦ dog"])  # fmt: skip
def test_arrows_of_every_kind(line: str) -> None:
    assert parse_concepts(line).concepts == (Concept("cat", "dog"),)
    assert parse_concepts(line).notes == ()
    assert parse_concepts(f'"{line}"').concepts == (Concept(line),)


@pytest.mark.parametrize(
    ("name", "other"),
    [("vincent_van_gogh", "vincent van gogh"), ("Tom &amp; Jerry", "Tom & Jerry"), ("Schindler’s", "Schindler's"),
     ("Ｖａｎ Ｇｏｇｈ", "Van Gogh"), ("Jean–Luc", "Jean-Luc"), ("star", "star"), ("Zoë", "Zoë")],
)  # fmt: skip
def test_the_plain_spelling(name: str, other: str) -> None:
    assert plain(name) == other


@given(st.text(max_size=40))
def test_tidy_ends_and_is_stable(name: str) -> None:
    found = tidy(name)
    assert tidy(found) == found
    assert normalise(normalise(name)) == normalise(name) or not unicodedata.is_normalized("NFKC", name)


@pytest.mark.parametrize("line", ["-" * 300_000, "(" * 300_000, "x" * 300_000 + ",", "[" * 100_000 + "star"])
def test_a_line_without_end_is_refused_at_once(line: str) -> None:
    with pytest.raises(ScaPreError, match="line 1"):
        parse_concepts(line)


def test_names_of_early_files_are_still_stored() -> None:
    for name in ("star,", "(star:1.2)", "st\u00adar", "'star'"):
        assert check_stored(name, "concepts") == name
