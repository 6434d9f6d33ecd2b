"""Merging: the union of edits, or a part of one, is what solving the list would have given, to the bit."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pack.scapre.concepts.names import is_hidden
from pack.scapre.edits.edit import Edit
from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.merge import combine, merge_edits
from pack.scapre.methods.scapre.settings import PRESETS, Settings
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import TEMPLATES
from pack.tests.worlds import CASES, SHAPES, WIDTH, Encoder, Projections, ask, edit_of

FIRST = "one\ntwo words -> thing\nfour"
SECOND = "three more -> thing\nfour\nfive -> other\nthing"
UNION = "one\ntwo words -> thing\nfour\nthree more -> thing\nfive -> other\nthing"
POOL = ["one", "two words -> thing", "three more -> thing", "four -> other", "five", "six -> one", "thing -> a thing"]
WEIGHTS = Projections(SHAPES)


def solved(text: str, case: Settings | None = None, **more) -> Edit:
    return edit_of(ask(text, case or Settings(), **more), WEIGHTS, torch.float32)


def merged(*edits: Edit, remove=(), settings_from=None, weights=WEIGHTS) -> Edit:
    named = {f"edit_{number}": edit for number, edit in enumerate(edits, 1)}
    return merge_edits(named, weights, remove, settings_from)


def assert_same(edit: Edit, other: Edit) -> None:
    """Everything but names and notes."""
    assert (edit.settings, edit.seed, edit.templates, edit.fingerprint) == (
        other.settings, other.seed, other.templates, other.fingerprint,
    )  # fmt: skip
    for mine, its in [
        (edit.payload.shared, other.payload.shared),
        *((edit.payload.matrices[n], other.payload.matrices[n]) for n in other.shapes),
    ]:
        assert mine.keys() == its.keys()
        assert all(torch.equal(value, its[key]) for key, value in mine.items())
    assert torch.equal(edit.states.states, other.states.states)
    assert list(edit.report.remaining.values()) == list(other.report.remaining.values())
    for name, weight in WEIGHTS.weights.items():
        assert torch.equal(edit.delta(name, weight), other.delta(name, weight))


@pytest.mark.parametrize("hidden", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("case", CASES)
def test_the_union_is_solved_as_if_it_had_been_typed(case, hidden):
    parts = [
        solved(FIRST, CASES[case], preserve=("fish",)),
        solved(SECOND, CASES[case], preserve=("bird", "fish")),
    ]
    edit = merged(*(hide_names(part) if hide else part for part, hide in zip(parts, hidden, strict=True)))
    assert_same(edit, solved(UNION, CASES[case], preserve=("fish", "bird")))
    assert any(is_hidden(concept.text) for concept in edit.concepts) == any(hidden)


@pytest.mark.parametrize("templates", TEMPLATES)
@pytest.mark.parametrize("hide", [False, True])
def test_removing_is_solving_the_rest(templates, hide):
    wordings = tuple(TEMPLATES[templates])
    edit = solved(UNION, CASES["valve"], templates=wordings, preserve=("fish",))
    names = ["two words", "thing"]
    if hide:
        edit, names = hide_names(edit), ["concept 2", "Concept  6"]
    left = merged(edit, remove=names)
    assert_same(left, solved("one\nfour\nthree more -> thing\nfive -> other", CASES["valve"], templates=wordings,
                             preserve=("fish",)))  # fmt: skip


@given(
    order=st.permutations(POOL),
    parts=st.lists(st.integers(0, 2), min_size=len(POOL), max_size=len(POOL)),
    gone=st.sets(st.integers(0, len(POOL) - 1), max_size=4),
    hidden=st.lists(st.booleans(), min_size=3, max_size=3),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_partition_and_any_removal_give_the_bits_of_one_list(order, parts, gone, hidden):
    groups = [[line for line, part in zip(order, parts, strict=True) if part == number] for number in range(3)]
    shown = [line for group, hide in zip(groups, hidden, strict=True) for line in group if not hide]
    remove = {POOL[index] for index in gone} & set(shown)
    rest = [line for group in groups for line in group if line not in remove]
    edits = [solved("\n".join(group)) for group in groups if group]
    edits = [hide_names(e) if h else e for e, h in zip(edits, [h for g, h in zip(groups, hidden, strict=True) if g],
                                                       strict=True)]  # fmt: skip
    names = [line.split(" ->")[0] for line in remove]
    if rest:
        assert_same(merged(*edits, remove=names), solved("\n".join(rest)))
    else:
        with pytest.raises(ScaPreError, match="nothing would be left"):
            merged(*edits, remove=names)


def test_merging_again_gives_the_same_bits_as_merging_at_once():
    a, b, c = (solved(text) for text in ("one -> x", "two", "three -> x"))
    assert_same(merged(merged(a, b), c), merged(a, b, c))
    assert_same(merged(merged(hide_names(a), b), hide_names(c)), merged(a, b, c))
    assert_same(merged(merged(a, b), remove=["two"]), a)


def test_one_edit_is_solved_anew_for_other_weights():
    other = Projections(SHAPES, seed=4)
    edit = merged(solved("one\ntwo -> x"), weights=other)
    again = edit_of(ask("one\ntwo -> x", Settings()), other, torch.float32)
    for name, weight in other.weights.items():
        assert torch.equal(edit.delta(name, weight), again.delta(name, weight))
    assert "other weights" in edit.report.notes[-1]
    assert not any("other weights" in note for note in merged(solved("one")).report.notes)


def test_an_edit_of_a_larger_model_of_the_family_can_be_solved_for_a_smaller_one():
    smaller = Projections(SHAPES[:1])
    edit = merged(solved("one"), weights=smaller)
    assert list(edit.shapes) == ["block.0.weight"]
    assert "other weights (of another size)" in edit.report.notes[-1]


def test_settings_seed_and_wordings_are_those_of_the_chosen_edit():
    first = solved("one\ntwo", PRESETS["objects-few"].settings, seed=1)
    second = solved("three", PRESETS["objects-many"].settings, seed=2)
    edit = merged(first, second, settings_from="edit_2")
    assert (edit.settings, edit.seed) == (second.settings, 2)
    assert_same(edit, solved("one\ntwo\nthree", PRESETS["objects-many"].settings, seed=2))
    (note,) = edit.report.notes
    assert all(word in note for word in ("edit_1", "edit_2", "variant", "gate_power", "seed"))
    with pytest.raises(ScaPreError, match="settings_from: edit_3"):
        merged(first, second, settings_from="edit_3")


def test_concepts_keep_the_wordings_they_were_encoded_in():
    plain, rich = solved("one"), solved("two\none -> ", templates=tuple(TEMPLATES["objects"]))
    edit = merged(plain, rich)
    assert edit.templates == plain.templates
    assert [len(concept.templates) for concept in edit.concepts] == [0, 4]
    assert len(edit.report.remaining) == 5
    assert any("wordings" in note for note in edit.report.notes)
    assert_same(merged(edit, remove=["two"]), plain)
    chosen = merged(plain, rich, settings_from="edit_2")
    assert chosen.templates == rich.templates
    assert [len(concept.templates) for concept in chosen.concepts] == [1, 0]


def test_contradictions_are_all_named():
    first = solved("cat -> dog\nbird -> thing\nfine", preserve=("ship",))
    second = solved("Cat -> cow\nship\nfine", preserve=("bird", "kept"))
    with pytest.raises(ScaPreError) as raised:
        merged(first, second)
    for said in ('"Cat"', '"dog"', '"cow"', '"bird"', '"ship"', "edit_1", "edit_2", "anchor", "preserved"):
        assert said in str(raised.value)
    assert '"fine"' not in str(raised.value) and '"kept"' not in str(raised.value)
    left = merged(first, second, remove=["cat", "bird", "ship"])
    assert [concept.text for concept in left.concepts] == ["fine"]
    assert left.preserve == ("ship", "bird", "kept")


def test_contradictions_of_hidden_names_are_found_by_their_states():
    first, second = solved("cat -> dog", preserve=("ship",)), solved("cat -> cow\nship")
    for a, b in ((hide_names(first), second), (first, hide_names(second)), (hide_names(first), hide_names(second))):
        with pytest.raises(ScaPreError, match=r"(?s)has the anchor.*preserved by"):
            merged(a, b)


@pytest.mark.parametrize(("noise", "known"), [(1e-5, True), (1e-2, False)])
def test_states_of_another_batch_are_known_again(noise, known):
    class Noisy(Encoder):
        def encode(self, texts, progress=None):
            states = super().encode(texts)
            return states + noise * states.std() * torch.randn(states.shape, generator=torch.Generator().manual_seed(1))

    request = ask("ship\ncat -> dog", Settings())
    noisy = solve_edit(encode_request(Noisy(WIDTH), request)[0], WEIGHTS, request)
    edit = merged(hide_names(solved("cat -> dog\nship")), hide_names(noisy))
    assert len(edit.concepts) == (2 if known else 4)


def test_unknown_names_are_told_with_the_ones_that_are_close():
    edit = solved("Vincent van Gogh\nPablo Picasso\ncat")
    with pytest.raises(ScaPreError, match=r'remove: "vincent van gog" .*Did you mean "Vincent van Gogh"\?'):
        merged(edit, remove=["vincent van gog", "cat"])
    with pytest.raises(ScaPreError, match=r'"zebra" .*They erase "Vincent van Gogh", "Pablo Picasso", "cat"\.'):
        merged(edit, remove=["zebra"])


def test_a_hidden_number_that_two_edits_have_is_not_guessed():
    first, second = hide_names(solved("one")), hide_names(solved("two"))
    with pytest.raises(ScaPreError, match=r'remove: "concept 1" is a hidden name in edit_1 and in edit_2'):
        merged(first, second, remove=["concept 1"])
    both = merged(first, second)
    assert_same(merged(both, remove=["concept 2"]), solved("one"))


def test_a_typed_name_is_not_mistaken_for_a_hidden_one():
    typed, hidden = solved("concept 1\nother"), hide_names(solved("secret"))
    edit = merged(typed, hidden)
    assert len(edit.concepts) == 3
    assert_same(merged(edit, remove=["concept 1"]), solved("other\nsecret"))


def test_nothing_left_is_said():
    with pytest.raises(ScaPreError, match="remove: nothing would be left"):
        merged(solved("one\ntwo"), remove=["one", "two"])
    with pytest.raises(ScaPreError, match="edits: there is none"):
        merge_edits({}, WEIGHTS)


def test_edits_for_other_models_are_refused():
    class Wide(Projections):
        family = "SD2.x"

    wide = edit_of(ask("two", Settings()), Wide([(8, 64)]), torch.float32, 64)
    with pytest.raises(ScaPreError, match=r"edit_2 was made for SD2\.x models, and this model is SD1\.x"):
        merged(solved("one"), wide)
    with pytest.raises(ScaPreError, match=r"edit_1 was made for SD1\.x .*48.*edit_2 for SD2\.x .*64"):
        combine({"edit_1": solved("one"), "edit_2": wide})


def test_other_text_encoders_are_noted_and_other_tokens_refused():
    class Louder(Encoder):
        def _states(self, text):
            return super()._states(text) * 1.5

    class Longer(Encoder):
        def tokens(self, text):
            return 2 * super().tokens(text)

    def made_with(encoder, text):
        states, _ = encode_request(encoder, ask(text, Settings()))
        return solve_edit(states, WEIGHTS, ask(text, Settings()))

    edit = merged(solved("one"), made_with(Louder(WIDTH), "two"))
    assert any("another text encoder" in note and "50.0%" in note for note in edit.report.notes)
    with pytest.raises(ScaPreError, match="different tokens"):
        merged(solved("one -> thing"), made_with(Longer(WIDTH), "two -> thing"))


def test_too_many_concepts_are_refused(monkeypatch):
    monkeypatch.setattr("pack.scapre.merge.MAX_NAMES", 3)
    with pytest.raises(ScaPreError, match="together they erase 4 concepts"):
        merged(solved("one\ntwo"), solved("three\nfour"))
