"""How a pasted text is read as a list."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pack.scapre.concepts.concepts import Concept, parse_concepts
from pack.scapre.concepts.readings import literal, readings, shape_note, shape_of
from pack.scapre.concepts.review import review
from pack.scapre.concepts.spelling import tidy
from pack.scapre.concepts.syntax import MAX_NAMES
from pack.scapre.errors import ScaPreError


def best(text: str) -> tuple[str, ...]:
    """The lines of the reading that is chosen, after its name."""
    found = readings(text)
    return (found.best, *getattr(found, found.best))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("cat", ("lines", "cat")),
        ("cat\r\n dog \r\rowl\n", ("lines", "cat", "dog", "owl")),
        ("cat -> dog\n#off\n# heading\nowl # remark", ("lines", "cat -> dog", "#off", "# heading", "owl # remark")),
        ("cat, dog,owl", ("commas", "cat", "dog", "owl")),
        ("cat; dog", ("commas", "cat", "dog")),
        ("猫\uff0c狗\u3001鸟\uff1b鱼", ("commas", "猫", "狗", "鸟", "鱼")),
        ("cat -> dog, owl", ("commas", "cat -> dog", "owl")),
        ("cat, dog,\nowl, fox,\nbat", ("commas", "cat", "dog", "owl", "fox", "bat")),
        ("one,two,three\nfour,five,six", ("commas", "one", "two", "three", "four", "five", "six")),
        ("Monet, Claude\nVincent van Gogh\nFrida Kahlo", ("lines", "Monet, Claude", "Vincent van Gogh", "Frida Kahlo")),
        ("cat,dog\nowl,fox", ("columns", "cat -> dog", "owl -> fox")),
        ("cat\tdog", ("columns", "cat -> dog")),
        ("cat\tdog\nowl", ("columns", "cat -> dog", "owl")),
        ("cat;dog\nowl;", ("columns", "cat -> dog", "owl")),
        ("name,anchor\ncat,dog\nowl,", ("columns", "cat -> dog", "owl")),
        ("Anchor,Year,Artist\nart,1890,van Gogh\n,1907,Picasso", ("columns", "van Gogh -> art", "Picasso")),
        ("concepts;notes\ncat;x", ("columns", "cat")),
        ('name,anchor\n"Dali, Salvador","a ""b"""', ("columns", 'Dali, Salvador -> a "b"')),
        ("name,anchor\n#1 hit,a -> b\n,lost", ("columns", '"#1 hit" -> "a -> b"')),
        ("\ufeffname,anchor\ncat,dog", ("columns", "cat -> dog")),
        ("", ("lines",)),
        (" \n\t\n", ("lines",)),
        (", ,", ("commas",)),
    ],
)  # fmt: skip
def test_the_best_reading(text: str, chosen: tuple[str, ...]) -> None:
    assert best(text) == chosen


def test_every_reading_is_offered() -> None:
    found = readings("cat, dog\nowl, fox")
    assert (found.best, found.lines) == ("columns", ("cat, dog", "owl, fox"))
    assert (found.commas, found.columns) == (("cat", "dog", "owl", "fox"), ("cat -> dog", "owl -> fox"))


def test_a_limit_counts_different_names_and_neither_cells_nor_rows() -> None:
    people = [f"Person {number}" for number in range(MAX_NAMES)]
    rows = [f"{seed},a picture by {name},{seed * 7},{name}" for name in people for seed in range(3)]
    found = readings("\n".join(["case_number,prompt,seed,artist", *rows]))
    assert (found.best, found.unsure, found.columns) == ("columns", "", tuple(people))
    assert (found.shape.rows, found.shape.name) == (3 * MAX_NAMES, "artist")
    assert len(parse_concepts("\n".join([*people, *people])).concepts) == MAX_NAMES
    with pytest.raises(ScaPreError, match="5,001 names are more than one edit can hold"):
        parse_concepts("\n".join([*people, "one more"]))


def test_a_field_that_csv_refuses_leaves_the_other_readings() -> None:
    found = readings("x" * 200_000 + "\ny")
    assert (found.best, found.columns) == ("lines", ())
    assert len(found.commas) == 2


@given(st.text(st.sampled_from('ab1é #"->→,;'), max_size=20).filter(lambda name: any(map(str.isalnum, name))))
def test_a_literal_name_is_read_as_it_is(name: str) -> None:
    assert parse_concepts(literal(name)).concepts == (Concept(tidy(" ".join(name.split()))),)


UNCLEAN = [  # a text, and how it is read and what is said of that
    ("1. star,\n2. moon", "star,", "star"),
    ("- (star:1.2)\n- moon", "(star:1.2)", "star"),
    ("- name: star.\n- name: moon", "star.", "star"),
    ('["star!", "moon"]', "star!", "star"),
    ('{"name": "st\u200bar"}\n{"name": "moon"}', "", "star"),
    ("names = ['(star)', 'moon']", "(star)", "star"),
    ('"[star]",\n"moon",', "[star]", "star"),
    ("name,type\n(star:1.2),a\nmoon,b", "(star:1.2)", "star"),
    ("name,born\nst\u200bar,1\nmoon,2", "", "star"),
    ("name,born\nsaber \\(fate\\),1\nmoon,2", "saber \\(fate\\)", "saber (fate)"),
    ("| name | born |\n|--|--|\n| star; | 1 |\n| moon | 2 |", "star;", "star"),
    ("star., sun, moon", "star.", "star"),
    ('"(star)", sun, moon', "(star)", "star"),
]


@pytest.mark.parametrize(("text", "typed", "name"), UNCLEAN)
def test_names_of_every_shape_are_cleaned_and_noted(text: str, typed: str, name: str) -> None:
    found = readings(text)
    parsed = parse_concepts("\n".join(getattr(found, found.best)))
    assert found.unsure == "" and parsed.concepts[0] == Concept(name)
    said = f'"{typed}" is read as "{name}"' if typed else f'characters that no one sees are taken out of "{name}"'
    assert parsed.notes == (f"line 1: {said}",)


@pytest.mark.parametrize(
    ("text", "name"), [('"#1 hit", sun, moon', "#1 hit"), ("'#1 hit', 'sun', 'moon'", "#1 hit"),
                       ('"a -> b", sun, moon', "a -> b"), ("'star', 'sun', 'moon'", "star")],
)  # fmt: skip
def test_quotes_protect_names_between_commas(text: str, name: str) -> None:
    parsed = parse_concepts("\n".join(readings(text).commas))
    assert (parsed.concepts, parsed.notes) == ((Concept(name), Concept("sun"), Concept("moon")), ())


@pytest.mark.parametrize("name", ["!!", "-> →", "", '"“"'])
def test_what_is_no_name_however_it_is_typed_stays_as_it_is(name: str) -> None:
    assert literal(name) == name


SHAPES = [  # text, reading, its lines, kind of shape
    ("Artist Name,Style\nPeter Max,weird\nJoan Miro,scribbles", "columns", ["Peter Max", "Joan Miro"], "columns"),
    ("character;gender\nCaptain Ahab;male\nEve Lind;female", "columns", ["Captain Ahab", "Eve Lind"], "columns"),
    ("artist_name,born\nPeter Max,1937\nJoan Miro,1893", "columns", ["Peter Max", "Joan Miro"], "columns"),
    ("case_number,prompt,class,evaluation_seed\n0,a tench,tench,1174\n1,a church,church,6", "columns",
     ["tench", "church"], "columns"),
    (",case_number,prompt,evaluation_seed,artist\n0,1,by X,3,Ada Holm\n1,2,by X,4,Ada Holm", "columns", ["Ada Holm"],
     "columns"),
    ("First Name,Last Name,Born\nClaude,Monet,1840", "columns", ["Claude Monet"], "columns"),
    ("sep=;\nName;Anchor\nAda Holm;art", "columns", ["Ada Holm -> art"], "columns"),
    ('Name,Note\n"Holm, Ada","two\nlines"\n', "columns", ["Holm, Ada"], "columns"),
    ("ArtistName|Era\nAda Holm|1900\nCarl Dietz|1910", "columns", ["Ada Holm", "Carl Dietz"], "columns"),
    ("名称,锚点\n猫,狗", "columns", ["猫 -> 狗"], "columns"),
    ('"star",\n"Arlo Vane",\n', "lines", ["star", "Arlo Vane"], "quotes"),
    ("'star',\n'Arlo Vane'", "lines", ["star", "Arlo Vane"], "quotes"),
    ("star,\nArlo Vane,\nhouse", "commas", ["star", "Arlo Vane", "house"], "commas"),
    ("1. star\n2. Arlo Vane\n10) house", "lines", ["star", "Arlo Vane", "house"], "numbers"),
    ("- star\n- Arlo Vane\n", "lines", ["star", "Arlo Vane"], "bullets"),
    ("* [ ] star\n* [x] Arlo Vane\n", "lines", ["star", "Arlo Vane"], "bullets"),
    ("# list\nartists:\n  - star\n  - 'Vane, Arlo'\n", "lines", ["star", "Vane, Arlo"], "bullets"),
    ("- name: star\n  anchor: moon\n- name: \"Arlo Vane\"\n", "columns", ["star -> moon", "Arlo Vane"], "YAML"),
    ('["star", "Vane, Arlo", "a -> b"]', "lines", ["star", "Vane, Arlo", '"a -> b"'], "JSON"),
    ('{"version": 1, "artists": ["star", "sun"]}', "lines", ["star", "sun"], "JSON"),
    ('[{"name": "star", "anchor": "moon"}, {"name": "sun"}]', "columns", ["star -> moon", "sun"], "JSON"),
    ('{"artist": "star"}\n{"artist": "sun"}', "columns", ["star", "sun"], "JSON"),
    ('"Davis, Sammy"\n"Smith, Will"', "lines", ['"Davis, Sammy"', '"Smith, Will"'], "lines"),
    ('"Davis, Sammy", cat, fox', "commas", ["Davis, Sammy", "cat", "fox"], "commas"),
    ("nom,date\nchat,1", "columns", ["chat"], "columns"),
    ("name,anchor\n# off,x\ncat,dog", "columns", ["cat -> dog"], "columns"),
    ("قطة، كلب، قمر", "commas", ["قطة", "كلب", "قمر"], "commas"),
    ("# painters\nPeter Max # pop\nJoan Miro", "lines", ["# painters", "Peter Max # pop", "Joan Miro"], "lines"),
    ("name 1\nname 2", "lines", ["name 1", "name 2"], "lines"),
    ("artists: # mine\n  - Peter Max # pop\n  - Joan", "lines", ["Peter Max", "Joan"], "bullets"),
    ("moon, star, # not, these\ncow, ox,", "commas", ["moon", "star", "cow", "ox"], "commas"),
    ("2001: A Space Odyssey\nAlien", "lines", ["2001: A Space Odyssey", "Alien"], "lines"),
    ("names = ['star', \"Arlo's\"]", "lines", ["star", "Arlo's"], "Python"),
    ("('star', 'sun')", "lines", ["star", "sun"], "Python"),
    ("|Artist|Style|\n|:--|--:|\n| Ada Holm | oil |\n| C \\| D | ink |", "columns", ["Ada Holm", "C | D"], "Markdown"),
    ("cat --> dog\nowl => fox\nbat", "lines", ["cat --> dog", "owl => fox", "bat"], "lines"),
    ("Artists,Styles,Status\nPeter Max,oil,new", "columns", ["Peter Max"], "columns"),
    ("Monet, Claude\nVincent van Gogh\nFrida Kahlo", "lines",
     ["Monet, Claude", "Vincent van Gogh", "Frida Kahlo"], "lines"),
    ("name,type\nstar,oil\nmoon,ink", "columns", ["star", "moon"], "columns"),
    ("Name;Geburtsjahr\nstar;1900\nmoon;1910", "columns", ["star", "moon"], "columns"),
    (",name\n0,star\n1,moon", "columns", ["star", "moon"], "columns"),
    ("name,\nstar,\nmoon,", "columns", ["star", "moon"], "columns"),
    ("target,anchor\nstar,moon", "columns", ["star -> moon"], "columns"),
    ("target,prompt\nstar,by star", "columns", ["star"], "columns"),
    ("id,name,alive\n1,star,yes\n2,moon,no", "columns", ["star", "moon"], "columns"),
    ('name,anchor\n"#1 hit",moon\nsun,star', "columns", ['"#1 hit" -> moon', "sun -> star"], "columns"),
    ("#,name\n1,star\n2,moon", "columns", ["star", "moon"], "columns"),
    ("- [star](https://a/b_(c))\n- **moon**\n- M*A*S*H\n- [[sun]]\n- `cow`", "lines",
     ["star", "moon", "M*A*S*H", "sun", "cow"], "bullets"),
    ("1. __star__ # best\n2. ~~moon~~", "lines", ["star", "moon"], "numbers"),
    ("* [x] ***star***\n* [ ] _moon_", "lines", ["star", "moon"], "bullets"),
    ("\t- star\n\t- moon", "lines", ["star", "moon"], "bullets"),
    ("|name|born|\n|--|--|\n|[star](u)|1|\n|**moon**|2|", "columns", ["star", "moon"], "Markdown"),
    ("[]", "lines", [], "JSON"),
    ("[{}]", "lines", [], "JSON"),
    ("[star]\n[moon]", "lines", ["[star]", "[moon]"], "lines"),
    ("red,\u2028blue\u0085green\x0bgrey\x0cpink", "lines", ["red,", "blue", "green", "grey", "pink"], "lines"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reading", "lines", "kind"), SHAPES)
def test_lists_of_all_shapes_are_read_for_sure(text: str, reading: str, lines: list[str], kind: str) -> None:
    found = readings(text)
    assert (found.best, found.unsure, list(getattr(found, reading)), found.shape.kind) == (reading, "", lines, kind)
    assert found.shape == shape_of(text)
    assert bool(shape_note(text)) == (kind != "lines")


GUESSES = [  # text, the likeliest reading, why it is none to rely on
    ("cat,dog\nowl,fox", "columns", "second column"),
    ("cat\tdog", "columns", "second column"),
    ("Gogh, Vincent van\nMonet, Claude", "inverted", "last name first"),
    ("one,two,three\nfour,five,six", "commas", "which column"),
    ("Monet, Claude", "commas", "two names or one"),
    ("Artist\nMonet\nDali", "lines", "may be a head"),
    ("object,class\na,b", "columns", '"object" or in "class"'),
    ("foo,bar,baz\n1,2,3", "commas", "which column"),
    ('{"a": ["x"], "b": ["y"]}', "lines", "no list of names, or several"),
    ('[["a"], ["b"]]', "lines", "lists within"),
    ("moon, star, sun\ncow\nox", "lines", "several names between commas"),
    ("Monet, Claude\nRembrandt\nMax, Peter", "inverted", "last name first"),
    ("1. FC Anker\n1. FC Bund", "lines", "numbers that count"),
    ("1 Peter Max\n2 Joan Miro", "lines", "numbers that count"),
    ("a) Peter Max\nb) Joan Miro", "lines", "numbers that count"),
    ("Artists to erase\n1. Peter Max\n2. Joan Miro", "lines", "others do not"),
    ('name,anchor\n"Peter Max,art\nJoan Miro,art', "columns", "never closed"),
    ('["a", true]', "lines", "no names"),
    ('{"star": "moon", "sun": ""}', "columns", "keys may be names"),
    ('A = ["cat"]\nB = ["dog"]', "lines", "program"),
    ("const names = [\n'cat',\n'dog'\n]", "lines", "program"),
    ("<ul>\n<li>cat</li>\n</ul>", "lines", "page or XML"),
    ('<?xml version="1.0"?>\n<names><name>cat</name></names>', "lines", "page or XML"),
    ("cat: dog\nmoon: sun", "lines", "colons"),
    ("cat|dog|moon", "lines", "bars"),
    ("Peter Max|pop|1937\nJoan|oil|1893", "lines", "bars"),
    ("Peter Max    art\nJoan Miro    art", "lines", "spaces"),
    ("concepts:\n  - cat\npreserve:\n  - dog\n", "lines", "several lists"),
    ("- name: cat\n  tags:\n  - a\n- name: dog", "lines", "key before"),
    ("prompt\na picture of a star\na moon", "lines", "may be a head"),
    ("name,anchor\nSmith, Will,art\nPeter Max,art", "columns", "more cells than the head"),
    ("- Painters\n  - Monet\n  - Manet\n- Cow", "columns", "headings or names"),
    ("- painters:\n    - Monet\n- Cow", "columns", "headings or names"),
    ("- **star** - a thing\n- **moon**", "lines", "text stands after"),
    ("- [star](u), a thing\n- moon", "lines", "text stands after"),
    ("[star](https://a/b)\n[moon](/c)", "lines", "page or XML"),
    ("INSERT INTO names VALUES ('star'), ('moon');", "lines", "program"),
    ("SELECT name FROM artists;", "lines", "program"),
    ("insert into names (name)\nvalues ('star'),\n('moon')", "lines", "program"),
    ("Monet, Claude\nRembrandt\nPicasso\nDali", "inverted", "last name first"),
    ("Davis, Sammy, Jr.\nKing, Martin Luther, Jr.", "inverted", "last name first"),
    ("Sammy Davis, Jr.\nKen Griffey, Jr.", "lines", "part of the names"),
    ("artist,target\nstar,moon", "columns", 'in "target" or in "artist"'),
    ("name,type\nstar,erase\nmoon,preserve", "columns", "which of its rows are meant"),
    ("name,kept\nstar,yes\nmoon,no", "columns", "which of its rows are meant"),
    ("id,name,keep\n1,star,1\n2,moon,0", "columns", "which of its rows are meant"),
    ("artist,status,born\nstar,keep,1\nmoon,erase,2", "columns", "which of its rows are meant"),
    ("name,anchor,erase\nstar,sun,x\nmoon,,", "columns", "which of its rows are meant"),
    ("name,anchor\n#moon,sun\nstar,cow", "columns", "switched off by the #"),
    ("name,born\nstar,1\n#1 hit,2", "columns", "switched off by the #"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "best", "why"), GUESSES)
def test_a_guess_says_that_it_is_one(text: str, best: str, why: str) -> None:
    found = readings(text)
    assert found.best == best
    assert why in found.unsure if why else found.unsure == ""


NESTED = [  # a list with lines under others: names, and what they stand under
    ("- Painters\n  - [Monet](u)\n  - **Manet**\n- **Photo**\n  - Adams",
     ["Monet", "Manet", "Adams"], ["Painters", "Photo"]),
    ("1. Painters\n   - Monet\n2. Photo\n   - Adams", ["Monet", "Adams"], ["Painters", "Photo"]),
    ("- Painters\n\t1. Monet\n\t2. Manet\n- Photo\n\t1. Adams", ["Monet", "Manet", "Adams"], ["Painters", "Photo"]),
    ("* star\n* Painters\n    * French\n        * Monet\n    * Kahlo",
     ["star", "Monet", "Kahlo"], ["French", "Painters"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "names", "headings"), NESTED)
def test_headings_of_a_nested_list_can_be_left_out_or_taken(text: str, names: list[str], headings: list[str]) -> None:
    found = readings(text)
    assert (found.best, list(found.columns), found.heads) == ("columns", names, ("heading", "name"))
    assert list(readings(text, "heading").columns) == headings
    assert set(found.lines) == {*names, *headings}


ANCHORED = [  # a table whose other column may hold anchors, its rows, and that column
    ("Name;Anker\nstar;moon\nsun;", ["star -> moon", "sun"], '"Anker"'),
    ("nombre,ancla\nstar,moon", ["star -> moon"], '"ancla"'),
    ("concept,to\nstar,moon", ["star -> moon"], '"to"'),
    ("name,\nstar,moon", ["star -> moon"], "a column without a head"),
    ("Anker;Name\nstar;moon", ["moon -> star"], '"Anker"'),
    ("id,name,Anker\n1,star,moon", ["star -> moon"], '"Anker"'),
    ("source,target\nstar,moon\ncow,ox", ["star -> moon", "cow -> ox"], '"source", with their anchors in "target"'),
    ("new,old\nstar,moon", ["moon -> star"], '"old", with their anchors in "new"'),
    ('[{"name": "star", "to": "moon"}]', ["star -> moon"], '"to"'),
    ("|name|to|\n|--|--|\n|star|moon|", ["star -> moon"], '"to"'),
    ("- name: star\n  to: moon\n- name: sun", ["star -> moon", "sun"], '"to"'),
]


@pytest.mark.parametrize(("text", "lines", "why"), ANCHORED)
def test_a_column_that_may_hold_anchors_is_no_longer_dropped(text: str, lines: list[str], why: str) -> None:
    found = readings(text)
    assert (found.best, list(found.columns)) == ("columns", lines)
    assert why in found.unsure
    names = [concept.text for concept in parse_concepts("\n".join(lines)).concepts]
    assert list(readings(text, found.shape.name).columns) == names


def test_records_with_nothing_in_common_are_no_table() -> None:
    for text in (
        "\n".join(f'{{"key {number}": "star"}}' for number in range(5_000)),
        "\n".join(f"- key{number}: star" for number in range(5_000)),
        ",".join("x" * 900) + "\n" + "a,b\n" * 10_000,
        ",".join("x" * 5_000) + "\nname,anchor",
    ):
        found = readings(text)
        assert found.columns == found.heads == ()
    with pytest.raises(ScaPreError, match="there is no"):
        readings(text, "5")


LONG = [  # what a file of 8 MB may be made of, of which a reader must not look at each part for each other
    "[",
    "(",
    "{",
    "<a",
    "- [",
    "[a",
    "- *a ",
    "- _a",
    "*",
    '"',
    '"a\n',
    "\u201c",
    " #",
    "->",
    "-|",
    "a: ",
    "a:\n",
    ", ",
    "- [[a\n",
    "'a',",
    "[1,",
    "select from ",
    "Aa, Bb\n",
    "a\u200b",
    "/",
    "\\",
    ":.1",
    "\t",
    " ",
    "\r",
    "#\n",
    "\ufeff",
]


@pytest.mark.parametrize("part", LONG)
def test_a_long_text_is_read_in_no_more_than_its_length(part: str) -> None:
    began = time.process_time()
    for text in (part * (80_000 // len(part)), "\n".join([part * (900 // len(part))] * 80)):
        readings(text)
        review(text)
    assert time.process_time() - began < 20  # each takes a second or two; one that compares all parts, many minutes


@pytest.mark.parametrize(
    "line", ["n{},d", "n{}", "n{}, Bb", "1. n{}", "- k{}:", "k{}:", "- n{}", '"n{}",', "n{} -> d", "n{}|d"]
)
def test_many_different_lines_are_read_in_no_more_than_their_number(line: str) -> None:
    began = time.process_time()
    readings("name,anchor\n" + "\n".join(line.format(number) for number in range(60_000)))
    assert time.process_time() - began < 20


def test_many_columns_are_told_in_a_few_words() -> None:
    text = ",".join(f"name {number}" for number in range(900)) + "\n" + ",".join("x" * 900)
    assert readings(text).unsure.endswith('"name 5" or in 894 more')
    with pytest.raises(ScaPreError, match=r'Give one of "name 0", .*"name 5", 894 more, or its number'):
        readings(text, "artist")


def test_a_register_is_turned_round() -> None:
    assert readings("Gogh, Vincent van\nMonet, Claude").inverted == ("Vincent van Gogh", "Claude Monet")
    assert readings("Gogh, Vincent van\nMonet").inverted == ("Vincent van Gogh", "Monet")
    assert readings("Davis, Sammy, Jr.\nMonet, Claude").inverted == ("Sammy Davis Jr.", "Claude Monet")
    assert readings("Beatles, The").inverted == ("The Beatles",)
    for other in ("cat, dog\nowl", "Sammy Davis, Jr.", "Monet, Claude\nVincent van Gogh\nFrida Kahlo", "a\nb", ""):
        assert readings(other).inverted == ()


BETWEEN = [  # a text, and its names between commas
    ("Artists: star, moon, sun", ["star", "moon", "sun"], '"Artists:" may be a label'),
    ("Artists to erase:star,moon,sun", ["star", "moon", "sun"], '"Artists to erase:" may be a label'),
    ("Painters: star, sun\nCharacters: cow, ox", ["star", "sun", "cow", "ox"], '"Painters:" may be a label'),
    ("\u753b\u5bb6\uff1a\u732b\u3001\u72d7", ["\u732b", "\u72d7"], "may be a label"),
    ("Star Wars: A New Hope, Alien, Jaws", ["Star Wars: A New Hope", "Alien", "Jaws"], '"Star Wars:" may be a label'),
    ("star, moon, and sun", ["star", "moon", "sun"], '"and sun", may have a word that joins'),
    ("star, moon, sun and cow", ["star", "moon", "sun and cow"], '"sun and cow", may have a word that joins'),
    ("star, moon,\ncow, ox, und sun", ["star", "moon", "cow", "ox", "sun"], '"und sun", may have a word'),
    ("Davis, Sammy, Jr.", ["Davis", "Sammy", "Jr."], '"Jr." may belong to the name before it'),
    ("star, Acme, Inc., moon", ["star", "Acme", "Inc.", "moon"], '"Inc." may belong'),
    ("star, Ortega y Gasset, Rock & Roll", ["star", "Ortega y Gasset", "Rock & Roll"], ""),
    ("2001: A Space Odyssey, Alien, Jaws", ["2001: A Space Odyssey", "Alien", "Jaws"], ""),
    ("star:1.2, moon, sun", ["star:1.2", "moon", "sun"], ""),
    ("And One, moon, And Also the Trees", ["And One", "moon", "And Also the Trees"], ""),
]


@pytest.mark.parametrize(("text", "names", "why"), BETWEEN)
def test_what_stands_between_commas_beside_names(text: str, names: list[str], why: str) -> None:
    found = readings(text)
    assert (found.best, list(found.commas)) == ("commas", names)
    assert why in found.unsure and bool(why) == bool(found.unsure)


def test_a_column_can_be_chosen_by_its_head_and_by_its_number() -> None:
    text = "prompt,artist,style\nby A,Ada Holm,oil\nby C,Carl Dietz,ink"
    assert readings(text).heads == ("prompt", "artist", "style")
    for column in ("Style", "3", " style "):
        found = readings(text, column)
        assert (found.best, found.columns, found.unsure) == ("columns", ("oil", "ink"), "")
    assert readings("a,b\nc,d", "2").columns == ("b", "d")
    with pytest.raises(ScaPreError, match=r'column: there is no "4"\. Give one of "prompt", "artist", "style"'):
        readings(text, "4")


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    found = readings(text)
    assert all(line == line.strip() and line for line in (*found.lines, *found.commas, *found.columns))
