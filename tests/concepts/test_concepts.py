"""How a typed list is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pack.scapre.concepts.concepts import Concept, parse_concepts, parse_names, parse_preserve
from pack.scapre.concepts.names import MAX_CHARACTERS, check_stored, hidden_name, identity, is_hidden, normalise
from pack.scapre.errors import ScaPreError


def texts(text: str, anchor: str = "") -> list[tuple[str, str]]:
    return [(c.text, c.anchor) for c in parse_concepts(text, anchor).concepts]


def test_lines_arrows_and_the_default_anchor():
    assert texts("Van Gogh\ncat -> dog\nbird → \n", "art") == [("Van Gogh", "art"), ("cat", "dog"), ("bird", "")]


def test_comments_blank_lines_line_ends_and_byte_order_marks():
    listed = "\ufeff# painters\r\n\r\n  Monet  # French\r   \rC# logo\n\tDali\n#Picasso"
    assert texts(listed) == [("Monet", ""), ("C# logo", ""), ("Dali", "")]


@pytest.mark.parametrize(
    ("line", "name", "anchor"),
    [
        ('"a -> b" -> "x # y"', "a -> b", "x # y"),
        ('"x->y"->z', "x->y", "z"),
        ("“Mona Lisa”", "Mona Lisa", ""),
        ('"Weird Al" Yankovic', '"Weird Al" Yankovic', ""),
        ('say "cheese"', 'say "cheese"', ""),
        ('"', None, None),
    ],
)
def test_quotes_protect_and_are_removed_only_around_a_whole_name(line, name, anchor):
    if name is None:
        with pytest.raises(ScaPreError, match="line 1"):
            texts(line)
    else:
        assert texts(line) == [(name, anchor)]


@pytest.mark.parametrize(
    "name",
    ["Saber (Fate)", "embedding:x", "a|b", "Kahlo, Frida", "梵高", "Ünïcøde ñame", "😀", "R2-D2", "C++", ".hack"],
)
def test_names_are_literal_text(name):
    assert texts(name) == [(name, "")]


def test_repeats_count_once_with_a_note():
    parsed = parse_concepts("Van Gogh\nMonet\nVAN   GOGH\n\uff36\uff41\uff4e gogh")  # the last in full-width letters
    assert [c.text for c in parsed.concepts] == ["Van Gogh", "Monet"]
    assert len(parsed.notes) == 2
    assert "line 3" in parsed.notes[0] and "line 1" in parsed.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("# only\n\n   \n# comments", "empty"),
        ("!!! ...", "no letter"),
        ("-> dog", "no letter"),
        ("cat -> dog -> bird", "more than one arrow"),
        ("cat -> CAT", "own anchor"),
        ("cat -> dog\nCat -> bird", "lines 1 and 2"),
        ("x" * 10_000, "10,000 characters"),
        ("cat -> " + "x" * 10_000, "anchor"),
        ("\n".join(f"name {i}" for i in range(100_000)), "100,000 names"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(text, message):
    with pytest.raises(ScaPreError, match=message):
        parse_concepts(text)


def test_the_anchor_field_is_checked_too():
    with pytest.raises(ScaPreError, match="own anchor"):
        parse_concepts("cat", "Cat")
    with pytest.raises(ScaPreError, match="anchor"):
        parse_concepts("cat", "x" * 1000)


def test_preserve_is_read_like_concepts_and_may_not_overlap():
    assert parse_preserve('Monet # keep\n\nmonet\n"a -> b"') == ("Monet", "a -> b")
    with pytest.raises(ScaPreError, match="cannot be erased and preserved"):
        parse_preserve("dog\nCAT", (Concept("cat"),))
    with pytest.raises(ScaPreError, match="arrow"):
        parse_preserve("cat -> dog")


NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Z"), exclude_characters='"“”\ufeff'), min_size=1)
LISTS = st.lists(st.one_of(st.text(), st.builds("{} -> {} # {}".format, NAMES, NAMES, st.text()), NAMES), max_size=8)


@given(LISTS, st.text())
def test_any_text_is_a_list_or_a_clear_refusal(lines, anchor):
    try:
        parsed = parse_concepts("\n".join(lines), anchor)
    except ScaPreError as error:
        assert len(str(error)) > 20
        return
    names = [normalise(concept.text) for concept in parsed.concepts]
    assert names and all(names) and len(set(names)) == len(names)
    for concept in parsed.concepts:
        assert len(concept.text) <= MAX_CHARACTERS and len(concept.anchor) <= MAX_CHARACTERS
        assert normalise(concept.text) != normalise(concept.anchor)
        assert "\n" not in concept.text + concept.anchor


@given(NAMES.filter(lambda name: any(char.isalnum() for char in name)).filter(lambda name: len(name) < MAX_CHARACTERS))
def test_any_name_survives_in_quotes(name):
    assert texts(f'"{name}" -> "{name} #2 -> x"  # note') == [(name, f"{name} #2 -> x")]


def test_plain_names_are_parsed_like_the_other_lists():
    assert parse_names('# all\ncat # a comment\n"a -> b"\nCAT\n\n', "remove") == ("cat", "a -> b")
    assert parse_names("", "remove") == ()
    for text, message in (("a -> b", "remove: line 1 has an arrow"), ("cat\n!?", 'remove: line 2: "!\\?"')):
        with pytest.raises(ScaPreError, match=message):
            parse_names(text, "remove")


def test_a_hidden_name_cannot_be_typed():
    name = hidden_name("concept", 1)
    assert is_hidden(name) and check_stored(name, "concepts") == name
    for typed in (name, f'"{name}"', f"  {name}\u00a0"):
        (concept,) = parse_concepts(typed).concepts
        assert concept.text == "concept 1" and not is_hidden(concept.text)
        assert identity(concept.text) != identity(name)
        assert normalise(concept.text) == normalise(name)
