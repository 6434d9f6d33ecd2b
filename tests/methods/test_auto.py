"""`auto` against its equations in float64: moments one token after another, and the solve by an explicit null space."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from pack.scapre.checkpoints.tokenizer import Tokenizer
from pack.scapre.concepts.concepts import Concept
from pack.scapre.concepts.spelling import core
from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods.auto import Settings
from pack.scapre.methods.auto.candidates import ANCHORS
from pack.scapre.methods.auto.contexts import COMBINED, PADDING, WORDINGS, Slot, Wordings, slots
from pack.scapre.methods.auto.kin import Kin, find_kin, general_words
from pack.scapre.methods.auto.kinds import WORDS, kinds_of
from pack.scapre.methods.auto.moments import Moments, Span, aim, half, joined, kept_weights, weights
from pack.scapre.methods.auto.notes import kin_notes
from pack.scapre.methods.auto.solution import Product, constrained, harm, reach_of
from pack.scapre.methods.auto.study import _MORE, Study, _group, _texts_of, study
from pack.scapre.methods.right import right_factors
from pack.scapre.methods.scapre.settings import Settings as ScaPreSettings
from pack.scapre.progress import silent
from pack.scapre.solve import solve_edit
from pack.scapre.states.lexicon import Lexicon
from pack.scapre.states.prompts import TEMPLATES
from pack.tests import edit_files
from pack.tests.worlds import WINDOW, Encoder, Projections, ask, error

WIDTH = 320  # more than a window, whose states do not move when it is empty
WEIGHTS = Projections([(40, WIDTH), (24, WIDTH), (8, WIDTH)])
VALUES = ["block.1.weight"]
WEIGHT = WEIGHTS.weights[VALUES[0]]
LIST = "one\ntwo words -> thing"


class Worded(Encoder):
    """Has a vocabulary: some families of words with near embeddings, and many words that are near to nothing."""

    FAMILIES = tuple("abcd")
    WORDS = tuple(f"{family}{family}{letter}" for family in FAMILIES for letter in "efghijkl")
    OTHERS = tuple(f"zz{one}{two}" for one in "abcdefghijklmnopqrst" for two in "abcdefghijklmnopqrst")

    def tokens(self, text: str) -> list[int]:
        return [self._ids.get(word, 500 + zlib.crc32(word.encode()) % 400) for word in text.split()]

    def lexicon(self) -> Lexicon:
        generator = torch.Generator().manual_seed(0)
        table = torch.randn(1000, 256, generator=generator)
        shared = torch.randn(len(self.FAMILIES), 256, generator=generator)
        for place in range(len(self.WORDS)):
            table[place] = 0.4 * table[place] + shared[place // 8]
        vocabulary = {f"{word}</w>": number for word, number in self._ids.items()} | {"x</w>": 998, "part": 997}
        return Lexicon.of(vocabulary, table)

    @property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate((*self.WORDS, *self.OTHERS))}


class Pieced(Worded):
    """Has three letters of a word in a token; a piece is another token than a word of the same letters."""

    def tokens(self, text: str) -> list[int]:
        words = [re.findall(r"[^\w\s]*\w{1,3}[^\w\s]*|[^\w\s]+", word) for word in text.split()]
        return super().tokens(
            " ".join(f"{piece}~" if piece is not word[-1] else piece for word in words for piece in word)
        )


class Merging(Encoder):
    """Knows no spaces, and has four letters in a token, so that what stands before a name runs together with it."""

    def tokens(self, text: str) -> list[int]:
        text = "".join(text.split())
        return super().tokens(" ".join(text[start : start + 4] for start in range(0, len(text), 4)))


def request(text: str = LIST, settings: Settings | None = None, **more):
    more = {"preserve": ("fish", "a ship"), **more}
    return ask(text, settings or Settings(), method="auto", **more)


def edit_of(asked, encoder: Encoder | None = None, dtype: torch.dtype = torch.float64):
    states, _ = encode_request(encoder or Encoder(WIDTH), asked)
    return solve_edit(states, WEIGHTS, asked, dtype=dtype)


def kin_beside(encoder, concepts, preserve, kind, **more) -> list[Kin]:
    """Kin of names that are all of one kind."""
    return find_kin(encoder, concepts, preserve, [kind] * len(concepts), **more)


def kin_of(encoder: Encoder, asked) -> list[Kin]:
    concepts = asked.concepts.concepts
    return find_kin(encoder, concepts, asked.preserve, kinds_of("any", concepts))


def naive_moments(encoder: Encoder, asked) -> dict[str, torch.Tensor]:
    """S, D, G and ν as the module `moments` has them in words, one text, one class and one token after another."""
    concepts, kin = asked.concepts.concepts, kin_of(encoder, asked)
    s, d, kept, apart, general = (torch.zeros(WIDTH, WIDTH, dtype=torch.float64) for _ in range(5))
    square, texts, asked_wordings = 0.0, {""}, Wordings.of(asked.settings.wordings)

    def state(text: str) -> torch.Tensor:
        return encoder.encode([text])[0, : len(encoder.tokens(text)) + 2 + PADDING].double()

    def span_of(before: str, name: str) -> tuple[int, int, int]:
        first, sizes = len(encoder.tokens(before)) + 1, [len(encoder.tokens(word)) for word in name.split()]
        last = first + sum(sizes) - 1
        return first, first if len(sizes) == 1 else last, last

    def stays(text: str) -> torch.Tensor:
        found, end = state(text), len(encoder.tokens(text)) + 1
        parts = [found[:1], found[1:end], found[end : end + 1], found[end + 1 :]]
        return sum(part.T @ part / len(part) for part in parts if len(part))

    for place, (concept, near) in enumerate(zip(concepts, kin, strict=True)):
        group = _group(encoder, concept, [*asked.preserve, *near.words], near, asked_wordings, place, len(concepts))
        for slot in group.slots:
            x, (first, word, last) = state(slot.fill(concept.text)), span_of(slot.before, concept.text)
            end = len(x) - 1 - PADDING
            places = [range(first, last), range(last, last + 1), range(last + 1, end), range(end, end + 1)]
            places.append(range(end + 1, len(x)))
            for part in (part for part in places if len(part)):
                for t in part:
                    ys = []
                    for anchor in group.anchors:
                        y, (_, its, there) = state(slot.fill(anchor)), span_of(slot.before, anchor)
                        if t >= last:
                            ys.append(y[there + t - last])
                        elif word == first:
                            ys.append(y[max(there + t - last, its)])
                        else:
                            ys.append(y[its + t - last] if its + t - last >= first else x[t])
                    way = sum(ys) / len(ys) - x[t]
                    share = 1 / len(part) / len(group.slots)
                    s += share * torch.outer(x[t], x[t])
                    d += share * torch.outer(way, x[t])
            square += float(x[first:].square().mean()) / len(group.slots)
            texts |= {slot.fill(anchor) for anchor in group.anchors}
    beside, alone = _texts_of(kin, asked.preserve, asked_wordings)
    kept = sum(stays(text) for text in [*texts, *beside, *alone])
    apart = sum(stays(text) for text in alone)
    words, erased = general_words(encoder, concepts)
    words = [word for word in words if word not in erased]
    general = [stays(wording.replace("{}", word)) for word in words for wording in WORDINGS[:2]]
    return {
        "s": s, "d": d, "g": kept / min(1500, len(texts) + len(beside) + len(alone)) + sum(general) / len(general),
        "v": square / len(concepts), "apart": apart,
    }  # fmt: skip


@pytest.mark.parametrize("encoder", [Encoder(WIDTH), Worded(WIDTH), Pieced(WIDTH)])
@pytest.mark.parametrize("text", ["one", "aae -> aaf", LIST, "aae\nbbe\nzzab two", "kandinsky\nbelt of kandinsky"])
@pytest.mark.parametrize("wordings", ["", "by NAME; NAME beside a OTHER; OTHER of NAME"])
def test_the_edit_is_the_constrained_ridge_of_its_moments(encoder: Encoder, text: str, wordings: str) -> None:
    """Over matrices B = C Uᵀ with U the complement of the empty prompt's states, which is one ridge for C."""
    asked = request(text, Settings(hold=3, keep=7, reach=1.5, wordings=wordings))
    states, _ = encode_request(encoder, asked)
    m, null = naive_moments(encoder, asked), states.of("").double()
    free = torch.linalg.svd(null, full_matrices=True)[2][torch.linalg.matrix_rank(null) :].T
    metric = 3 * m["v"] * torch.eye(WIDTH, dtype=torch.float64) + m["s"] + 7 * m["g"]
    truth = 1.5 * m["d"] @ free @ torch.linalg.inv(free.T @ metric @ free) @ free.T
    edit = solve_edit(states, WEIGHTS, asked, dtype=torch.float64)
    assert error(edit.delta(VALUES[0], WEIGHT), WEIGHT.double() @ truth) < 1e-5  # moments are kept in single precision
    kin, typed = kin_of(encoder, asked), Wordings.of(wordings)
    moments = study(encoder, asked.concepts.concepts, asked.preserve, kin, typed, silent)
    held = torch.linalg.qr(null.T).Q
    exact = 1.5 * constrained(Product(None, moments.way.T), moments.metric(3, 7), held).whole()
    assert error(exact, truth) < 1e-6  # the encoder's own precision
    assert error(moments.apart, half(m["apart"])) < 1e-6


def test_the_moments_of_one_prompt_are_sums_over_single_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(9, 5, generator=generator) for _ in range(3))
    found = aim(x, Span(2, 3, 3, 5), [(y[:8], Span(2, 2, 2, 4)), (torch.cat((z, z[:1])), Span(2, 4, 4, 6))])
    # The first of the others has no token for the earlier one, which therefore stays there.
    pairs = {2: (x[2], z[3]), 3: (y[2], z[4]), 4: (y[3], z[5]), 5: (y[4], z[6]), 6: (y[5], z[7]), 7: (y[6], z[8])}
    pairs[8] = (y[7], z[0])
    assert torch.allclose(found, torch.stack([(one + other) / 2 for one, other in pairs.values()]))
    # Pieces of one word go with it, as far as the other has as many; those of a name of several words stay.
    others = [(y[:7], Span(2, 2, 2, 4)), (z, Span(2, 2, 4, 6))]
    found = aim(x, Span(2, 2, 4, 6), others)
    assert torch.allclose(found[:3], torch.stack([(y[2] + z[2]) / 2, (y[2] + z[3]) / 2, (y[2] + z[4]) / 2]))
    found = aim(x, Span(2, 4, 4, 6), others)
    assert torch.allclose(found[:3], torch.stack([x[2], x[3], (y[2] + z[4]) / 2]))
    # Marks behind a name that the other has not are those before its end.
    assert Span(1, 1, 1, 5).beside(Span(1, 1, 1, 2), 7) == [1, 1, 1, 1, 2, 3]
    assert kept_weights(4, 9).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3, 1, *[1 / 4] * 4])
    assert kept_weights(1, 4).tolist() == pytest.approx([1, 1, 1 / 2, 1 / 2])


@pytest.mark.parametrize("name", ["lion", "a", "of", "ion ax"])
def test_a_name_may_run_together_with_what_stands_before_it(name: str) -> None:
    edit = edit_of(request(name), Merging(WIDTH))
    assert edit.delta(VALUES[0], WEIGHT).isfinite().all()


@pytest.mark.parametrize(
    ("name", "pieces"),
    [("hexagram", True), ("Spider-Man", False), ("star", False), ("Claude Monet", False), ("é", True)],
)
def test_a_word_s_pieces_are_no_prompts_of_their_own(name: str, pieces: bool) -> None:
    tokenizer = Tokenizer(None)
    encoder = SimpleNamespace(tokens=tokenizer)
    span = Study(encoder, WIDTH)._span(Slot.of("a picture of {}!", ""), name)
    assert span.first == 4 and span.end == span.last + 2 == len(tokenizer(f"a picture of {name}!")) + 1
    assert span.word == (span.first if pieces else span.last)


def test_every_class_of_positions_counts_one() -> None:
    for span in (Span(1, 1, 1, 2), Span(2, 5, 5, 9), Span(3, 3, 3, 76), Span(1, 1, 2, 75)):
        classes = span.classes(WINDOW)
        assert sum(map(len, classes)) == WINDOW - span.first
        assert weights(classes).sum().item() == pytest.approx(len(classes))
        assert span.beside(span, WINDOW) == list(range(span.first, WINDOW))


def test_prompts_hold_a_name_alone_and_beside_others_and_take_turns() -> None:
    whole = [slot.fill("star") for slot in slots(Wordings(), ["cat", "dog"], len(WORDINGS) + len(COMBINED))]
    assert len(set(whole)) == len(whole) == len(WORDINGS) + len(COMBINED)
    assert whole[0] == "star" and all("star" in text and "{" not in text for text in whole)
    few = [{slot.fill("star") for slot in slots(Wordings(), ["cat"], 3, turn)} for turn in range(12)]
    assert all("star" in texts and len(texts) == 3 for texts in few)
    assert len(set.union(*few)) == len(WORDINGS) + len(COMBINED)
    assert [slot.fill("star") for slot in slots(Wordings(), [], 9)] == [
        wording.replace("{}", "star") for wording in WORDINGS
    ]


def test_wordings_can_be_typed() -> None:
    typed = Wordings.of(" by NAME ;a NAME beside a OTHER;;by NAME ; NAME ")
    assert typed == Wordings(("{}", "by {}"), ("a {} beside a {other}",)) and typed.count == 3
    assert [slot.fill("star") for slot in slots(typed, ["cat"], 9)] == ["star", "by star", "a star beside a cat"]
    assert Wordings.of(" ; ") == Wordings() and Wordings.of("OTHER and NAME").alone == ("{}",)
    many = ";".join(f"{number} NAME" for number in range(101))
    wrong = {
        "a star": '"a star" needs NAME once',
        "NAME or NAME": "once",
        "{} of NAME": "once",
        many: "101 are too many",
        "x" * 4001: "4,001 charac",
    }
    for text, said in wrong.items():
        with pytest.raises(ScaPreError, match=f"wordings: .*{re.escape(said)}"):
            Settings(wordings=text)


def test_kin_are_the_nearest_words_and_hold_no_token_of_an_erased_name() -> None:
    encoder = Worded(WIDTH)
    concepts = (Concept("aae"), Concept("some aaf"), Concept("unheard"))
    first, second, third = kin_beside(encoder, concepts, ("aag",), "object")
    assert first.found and set(first.words[:6]) == {"aag", "aah", "aai", "aaj", "aak", "aal"}  # preserved ones, too
    assert not {"aae", "aaf"} & {*first.words, *second.words}
    assert not third.found and set(third.words) <= set(WORDS["object"])
    notes = kin_notes(concepts, [first, second, third])
    assert 'stays beside "aae": ' + ", ".join(first.words[:8]) in notes[0] and "unheard" in notes[2]
    assert not any(kin.found for kin in kin_beside(Encoder(WIDTH), concepts, (), "style"))
    assert not any(kin.found for kin in kin_beside(encoder, concepts, (), "style", search=False))
    cut = kin_beside(encoder, (Concept("chair"),), (), "object")[0].words
    assert "chair" not in cut and len(cut) == 60


def test_words_that_the_encoder_answers_alike_are_no_kin_and_are_told() -> None:
    class Cats(Worded):
        WORDS = ("cat", "cats", "kitty", "lion", "tiger", "puma", "lynx", "dog", *Worded.WORDS[8:])

    concepts = (Concept("cat"),)
    (kin,) = kin_beside(Cats(WIDTH), concepts, (), "object")
    assert kin.found and set(kin.words[:5]) == {"lion", "tiger", "puma", "lynx", "dog"}
    assert not {"cats", "kitty"} & set(kin.words)
    notes = kin_notes(concepts, [kin])
    assert any('"cat" is also called up by cats, catday, kitty' in note for note in notes)
    both = kin_notes((*concepts, Concept("kitty")), [kin, kin])
    assert any('"cat" is also called up by cats, catday, feline' in note for note in both)


class Answering(Worded):
    """Answers one word like another, and the last of its candidates nearly like it."""

    POOL = tuple(word for word, _ in Worded(WIDTH).lexicon().nearest(0, 120, {1, 8}))

    def _states(self, text: str) -> torch.Tensor:
        found = super()._states("aae" if text == "aaf" else text)
        return found + super()._states("aae") if text in self.POOL[-4:] else found


def test_the_encoders_states_choose_among_candidates_and_find_what_is_answered_alike() -> None:
    encoder, concepts = Answering(WIDTH), (Concept("aae"), Concept("bbe"))
    (first, second) = kin_beside(encoder, concepts, (), "object")
    assert first.alike == ("aaf",) and "aaf" not in {*first.words, *second.words}
    assert list(first.words) == [word for word in encoder.POOL if word in first.words]
    assert {"aag", "aah", "aai", "aaj", "aak", "aal"} < set(first.words)  # near by embeddings, whatever their states
    assert set(encoder.POOL[-4:-1]) < set(first.words) and encoder.POOL[10:60] != first.words[10:]
    assert any('"aae" is also called up by aaf' in note for note in kin_notes(concepts, [first, second]))
    assert kin_beside(encoder, concepts, (), "object", search=False)[0].alike == ()


def test_states_of_candidates_are_read_no_farther_than_their_words_and_not_for_long_lists(monkeypatch) -> None:
    class Counting(Worded):
        def encode_prefixes(self, texts, length):
            lengths.append(length)
            return super().encode_prefixes(texts, length)

    lengths: list[int] = []
    concepts = (Concept("aae"), Concept("the bbe"))
    kin_beside(Counting(WIDTH), concepts, (), "object")
    assert set(lengths) == {2, 3}
    lengths.clear()
    monkeypatch.setattr("pack.scapre.methods.auto.kin._READ", 100)
    kin = kin_beside(Counting(WIDTH), concepts, (), "object")
    assert not lengths and all(one.found for one in kin)


@pytest.mark.parametrize(
    ("lines", "kind"),
    [("cat\ndog", "object"), ("Claude Monet", "style"), ("monet -> art", "style"), ("nudity\nnaked", "explicit"),
     ("Ada Lovelace -> person", "person"), ("cubism painting", "style")],
)  # fmt: skip
def test_kinds_are_told_by_how_names_look(lines: str, kind: str) -> None:
    concepts = ask(lines, Settings(), method="auto").concepts.concepts
    assert kinds_of("any", concepts) == [kind] * len(concepts)
    assert kinds_of("person", concepts) == ["person"] * len(concepts)


def test_every_name_of_a_mixed_list_has_its_own_kind() -> None:
    def kinds(*names: str) -> list[str]:
        return kinds_of("any", [Concept(name) for name in names])

    assert kinds("cat", "Claude Monet", "dog", "nudity") == ["object", "style", "object", "explicit"]
    assert kinds("Banksy", "Claude Monet", "Mark Rothko") == ["style"] * 3
    assert kinds("Banksy", "cat", "dog") == ["object"] * 3 and kinds("Banksy") == ["object"]
    found = find_kin(Encoder(WIDTH), [Concept("cat"), Concept("Claude Monet")], (), ["object", "style"], search=False)
    assert all(set(one.words) <= set(WORDS[kind]) for one, kind in zip(found, ("object", "style"), strict=True))


def test_general_words_are_many_and_leave_erased_ones_out() -> None:
    words, erased = general_words(Encoder(WIDTH), (Concept("chair"), Concept("Claude Monet")))
    assert len(words) == len(set(words)) > 250 and set(erased) == {"chair", "Claude Monet"}
    assert all(core(word) == word for word in words)


def test_further_texts_keep_every_preserved_name_and_are_bounded() -> None:
    kin = [Kin(tuple(f"word{i}" for i in range(60)), True)]
    beside, apart = _texts_of(kin, tuple(f"name{i}" for i in range(300)), Wordings())
    assert {f"name{i}" for i in range(300)} <= set(beside) and len(beside) == max(_MORE, 4 * 300)
    assert apart and not any(text.split()[-1] in beside for text in apart)
    assert all("name" not in text for text in apart)


def test_past_the_anchor_only_where_kin_hold() -> None:
    near, far = (
        study(Worded(WIDTH), asked.concepts.concepts, asked.preserve, kin_of(Worded(WIDTH), asked), Wordings(), silent)
        for asked in (request("aae\nbbf", preserve=()), request("unheard\nof", preserve=()))
    )
    assert near.known == 1 and far.known == 0 and reach_of(far, harm(far, Product.of(far.way), 10, 100)) == 1.35
    assert [reach_of(near, harmed) for harmed in (0.0, 0.49, 0.5, 2.0)] == [2, 2, 1, 1]
    assert harm(near, Product.of(near.way), 10, 100) > 0
    # Where what is left out moves as far as what is erased, the edit stops at the anchor.
    exposed = Moments(**{**vars(near), "apart": near.erased, "kept": near.kept + near.erased})
    assert (
        harm(exposed, Product.of(exposed.way), 10, 100) == pytest.approx(1)
        and reach_of(exposed, harm(exposed, Product.of(exposed.way), 10, 100)) == 1
    )
    assert reach_of(joined([near, far], 1.5), 0.0) == 1.5


def test_moments_are_kept_and_added_up_exactly() -> None:
    one, two = (
        study(Worded(WIDTH), asked.concepts.concepts, (), kin_of(Worded(WIDTH), asked), Wordings(), silent)
        for asked in (request("aae", preserve=()), request("bbe -> bbf", preserve=()))
    )
    kept = Moments.of(one.tensors())
    assert all(torch.equal(kept.tensors()[key], value) for key, value in one.tensors().items())
    both = joined([one, two], 2.0)
    assert torch.allclose(both.erased, one.erased + two.erased) and both.concepts == 2
    assert both.texts == one.texts + two.texts and torch.equal(both.common, one.common)
    with pytest.raises(ScaPreError, match="moments do not fit its width"):
        Moments.of({**one.tensors(), "kept": torch.zeros(7)})


def test_the_empty_prompt_does_not_move_in_any_form_of_the_edit() -> None:
    forms = set()
    for text, settings in (("one", Settings(reach=2, simplify=0.5)), (LIST, Settings(reach=2, simplify=0))):
        asked = request(text, settings)
        states, _ = encode_request(Encoder(WIDTH), asked)
        null = states.of("")
        for dtype, bound in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
            edit = solve_edit(states, WEIGHTS, asked, dtype=dtype)
            forms.add(tuple(sorted(edit.payload.shared)))
            moved = null.double() @ edit.delta(VALUES[0], WEIGHT).double().T
            assert (moved.norm(dim=1) / (null @ WEIGHT.T).norm(dim=1)).max() < bound
            assert edit.report.drift[""] < bound and list(edit.shapes) == VALUES
    assert forms == {("basis", "left", "reach"), ("held", "matrix", "reach")}


def test_in_a_small_encoder_a_part_of_the_empty_prompt_is_held_and_the_edit_is_no_empty_one() -> None:
    asked, small = request(settings=Settings(reach=2)), Projections([(40, 48), (24, 48)])
    states, _ = encode_request(Encoder(48), asked)
    edit = solve_edit(states, small, asked, dtype=torch.float64)
    assert edit.report.change[VALUES[0]] > 0.01
    lead = torch.linalg.svd(states.of("").double(), full_matrices=False)[2][:12]
    weight = small.weights[VALUES[0]]
    assert (lead @ edit.delta(VALUES[0], weight).T).norm() < 1e-12 * (lead @ weight.double().T).norm()


def test_what_is_left_out_to_make_it_small_is_no_more_than_was_allowed() -> None:
    exact = edit_of(request(settings=Settings(reach=2))).delta(VALUES[0], WEIGHT)
    ranks = []
    for share in (0.02, 0.1, 0.3):
        edit = edit_of(request(settings=Settings(reach=2, simplify=share)), dtype=torch.float32)
        assert (
            error(edit.delta(VALUES[0], WEIGHT), exact.double()) < 1.5 * share
        )  # a random weight sees nearly all alike
        ranks.append(edit.solver.figures(edit.payload, edit.settings)["rank"])
    assert ranks[0] >= ranks[1] > ranks[2]


def test_what_is_kept_holds_and_the_order_of_the_list_does_not_matter() -> None:
    drifts = [edit_of(request(settings=Settings(keep=keep, reach=2))).report.drift["fish"] for keep in (0, 10, 1e5)]
    assert drifts[0] > drifts[1] > drifts[2] and drifts[2] < 1e-2
    first, second = (edit_of(request(text)) for text in ("one -> thing", "one -> thing\none -> thing"))
    assert error(first.delta(VALUES[0], WEIGHT), second.delta(VALUES[0], WEIGHT).double()) == 0


def test_a_typed_anchor_takes_the_place_of_the_kin() -> None:
    typed, kin = (edit_of(request(text, preserve=()), Worded(WIDTH)) for text in ("aae -> bbe", "aae"))
    assert error(typed.delta(VALUES[0], WEIGHT), kin.delta(VALUES[0], WEIGHT).double()) > 0.1


@pytest.mark.parametrize("states", [True, False])
@pytest.mark.parametrize("names", [True, False])
def test_it_is_saved_and_loaded_in_every_form(tmp_path: Path, names: bool, states: bool) -> None:
    for number, settings in enumerate((Settings(), Settings(simplify=0), Settings(simplify=0.5))):
        edit, path = edit_of(request(settings=settings), dtype=torch.float32), tmp_path / f"{number}.safetensors"
        write_edit(edit, path, names=names, states=states)
        found = read_edit(path)
        assert torch.equal(found.delta(VALUES[0], WEIGHT), edit.delta(VALUES[0], WEIGHT))
        assert found.states.whole == states and found.same_as(edit)
        if names and states:
            assert edit_files.same(edit, found)
            write_edit(found, tmp_path / "again.safetensors")
            assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_file_is_as_large_for_many_names_as_for_few(tmp_path: Path) -> None:
    sizes = []
    for count in (4, 40):
        text = "\n".join(f"name{i}" for i in range(count))
        edit = edit_of(request(text, Settings(simplify=0)), dtype=torch.float32)
        write_edit(edit, tmp_path / "edit.safetensors", states=False)
        assert edit.payload.shared["matrix"].dtype == torch.float16
        sizes.append(sum(value.nbytes for value in edit.payload))
    assert sizes[0] == sizes[1]


def test_edits_are_merged_from_their_moments_and_from_the_text_encoder() -> None:
    encoder = Worded(WIDTH)
    one, two = (edit_of(request(text, preserve=()), encoder, torch.float32) for text in ("aae", "bbe -> bbf"))
    typed = edit_of(request("aae\nbbe -> bbf", preserve=()), encoder, torch.float32)
    summed = merge_edits({"a": one, "b": two}, WEIGHTS)
    moments = joined([Moments.of(edit.states.moments) for edit in (one, two)], 0)
    assert torch.equal(summed.states.moments["erased"], moments.tensors()["erased"])
    again = merge_edits({"a": one, "b": two}, WEIGHTS, encoder=encoder)
    assert again.concepts == summed.concepts == typed.concepts
    assert torch.allclose(
        again.delta(VALUES[0], WEIGHT), merge_edits({"a": typed}, WEIGHTS, encoder=encoder).delta(VALUES[0], WEIGHT)
    )
    alone = merge_edits({"a": typed}, WEIGHTS, ["aae"], encoder=encoder)
    assert [concept.text for concept in alone.concepts] == ["bbe"]
    assert error(alone.delta(VALUES[0], WEIGHT), two.delta(VALUES[0], WEIGHT).double()) < 1e-3
    dropped = merge_edits({"a": one, "b": two}, WEIGHTS, ["bbe"])
    assert error(dropped.delta(VALUES[0], WEIGHT), one.delta(VALUES[0], WEIGHT).double()) < 1e-6
    with pytest.raises(ScaPreError, match=r"keeps what it knows of its concepts as a whole.*Connect the text encoder"):
        merge_edits({"a": typed}, WEIGHTS, ["aae"])
    with pytest.raises(ScaPreError, match=r"some of them erase the same concept.*Connect the text encoder"):
        merge_edits({"a": one, "b": typed}, WEIGHTS)
    with pytest.raises(ScaPreError, match=r"Names are hidden here, so no text encoder can read them"):
        merge_edits({"a": hide_names(typed)}, WEIGHTS, ["concept 1"], encoder=encoder)


def test_an_edit_without_states_is_merged_with_the_text_encoder_alone(tmp_path: Path) -> None:
    encoder = Worded(WIDTH)
    edit = edit_of(request("aae", preserve=()), encoder, torch.float32)
    write_edit(edit, tmp_path / "small.safetensors", states=False)
    small = read_edit(tmp_path / "small.safetensors")
    with pytest.raises(ScaPreError, match=r"a was saved without the states of its texts. Connect the text encoder"):
        merge_edits({"a": small}, WEIGHTS)
    again = merge_edits({"a": small}, WEIGHTS, encoder=encoder)
    assert error(again.delta(VALUES[0], WEIGHT), edit.delta(VALUES[0], WEIGHT).double()) < 1e-3


def test_a_model_that_has_only_keys_is_refused() -> None:
    asked, keys = request(), Projections([(40, WIDTH)])
    keys.roles = dict.fromkeys(keys.roles, Role.KEY)
    states, _ = encode_request(Encoder(WIDTH), asked)
    with pytest.raises(ScaPreError, match="auto edits cross-attention value"):
        solve_edit(states, keys, asked)


def test_the_study_stops_when_it_is_told_to() -> None:
    class Stop(Exception):
        pass

    def progress(stage: str, done: int, total: int) -> None:
        if done > 300:
            raise Stop

    with pytest.raises(Stop):
        encode_request(Encoder(WIDTH), request(), progress)


def test_a_text_whose_states_are_not_finite_is_named() -> None:
    class Broken(Encoder):
        def encode_prefixes(self, texts, length):
            states = super().encode_prefixes(texts, length).clone()
            states[[text.startswith("a picture of one") for text in texts]] = torch.nan
            return states

    with pytest.raises(ScaPreError, match='NaN or infinity for "a picture of one'):
        encode_request(Broken(WIDTH), request())


def test_anchors_are_the_nearest_kin_unless_one_is_typed() -> None:
    kin = Kin(("aaf", "aag", "aah", "aai", "aaj"), True)
    assert _group(Encoder(WIDTH), Concept("aae"), (), kin, Wordings(), 0, 1).anchors == kin.words[:ANCHORS]
    assert _group(Encoder(WIDTH), Concept("aae", "bbe"), (), kin, Wordings(), 0, 1).anchors == ("bbe",)


def test_what_remains_is_the_part_of_the_way_to_the_kin() -> None:
    encoder = Worded(WIDTH)
    asked = request("aae\nbbe -> bbf", Settings(reach=1), preserve=())
    states, _ = encode_request(encoder, asked)
    edit = solve_edit(states, WEIGHTS, asked, dtype=torch.float64)
    first = kin_of(encoder, asked)[0].words[:ANCHORS]
    kin = torch.stack([encoder.encode([word])[0, 1] for word in first]).double().mean(0)
    c, delta = encoder.encode(["aae"])[0, 1].double(), edit.delta(VALUES[0], WEIGHT).double()
    way = WEIGHT.double() @ (kin - c)
    assert edit.report.remaining["aae"] == pytest.approx(1 - float((delta @ c) @ way / way.square().sum()), abs=1e-5)
    c, a = (encoder.encode([word])[0, 1].double() for word in ("bbe", "bbf"))
    left = (WEIGHT.double() + delta) @ c - WEIGHT.double() @ a
    assert edit.report.remaining["bbe"] == pytest.approx(float(left.norm() / (WEIGHT.double() @ (c - a)).norm()))
    far = solve_edit(states, WEIGHTS, replace(asked, settings=Settings(reach=10, keep=0)), dtype=torch.float64)
    assert far.report.remaining["aae"] == 0  # beyond


class Window(Encoder):
    """Refuses what does not fit its window, as real encoders do, and never reads behind it."""

    def tokens(self, text: str) -> list[int]:
        found = super().tokens(text)
        if len(found) > WINDOW - 2:
            raise ScaPreError(f"{text} is too long")
        return found

    def encode_prefixes(self, texts, length):
        assert length <= WINDOW
        return super().encode_prefixes(texts, length)


@pytest.mark.parametrize("count", [1, 60, 68, 71])
def test_long_names_are_learned_in_the_wordings_that_fit(count: int) -> None:
    asked = request(" ".join(f"w{i}" for i in range(count)), preserve=(" ".join(f"k{i}" for i in range(count)),))
    edit = edit_of(asked, Window(WIDTH))
    assert edit.report.change[VALUES[0]] > 0


@pytest.mark.parametrize("field", ["concepts", "preserve", "anchor"])
def test_names_that_fill_the_window_are_refused_by_name(field: str) -> None:
    long = " ".join(f"w{i}" for i in range(72))
    given = {"concepts": (long, ()), "preserve": ("one", (long,)), "anchor": (f"one -> {long}", ())}[field]
    with pytest.raises(ScaPreError, match=rf"{field}: \"w0 w1 .* more than the 71 tokens .* choose another method"):
        edit_of(request(given[0], preserve=given[1]), Window(WIDTH))


def test_general_words_that_the_encoder_answers_like_a_name_are_not_held() -> None:
    _, erased = general_words(Encoder(WIDTH), (Concept("kitten"),))
    assert "cat" in erased and "dog" not in erased


def test_braces_in_names_are_text() -> None:
    found = slots(Wordings(), ["a {} b", "{other}"], 16)
    assert all(text.count("star {}") == 1 for text in (slot.fill("star {}") for slot in found))
    beside, _ = _texts_of([Kin(("{}", "kin"), True)], ("x {other} {} y",), Wordings())
    assert "x {other} {} y" in beside and any(text.count("x {other} {} y") == 1 and len(text) > 20 for text in beside)
    assert edit_of(request("star {}", preserve=("x {other} {} y",))).report.change[VALUES[0]] > 0


def test_a_preserve_list_that_leaves_nothing_to_erase_is_told() -> None:
    many = tuple(f"name{i}" for i in range(WIDTH + 50))
    told = edit_of(request("one", Settings(keep=1e6), preserve=many)).report.notes
    assert any('hardly erased: "one". What stays is too close' in note for note in told)
    free = edit_of(request("one", Settings(keep=0, reach=2), preserve=("fish",))).report.notes
    assert not any("hardly erased" in note for note in free)


def test_a_concept_that_settings_alone_hold_is_told_so_and_one_that_is_thrown_far_too() -> None:
    held = edit_of(request("one", Settings(hold=1e6), preserve=())).report.notes
    assert any('hardly erased: "one". What the settings keep weighs too much' in note for note in held)
    far = edit_of(request("one", Settings(reach=10, keep=0, hold=1e-3), preserve=())).report
    assert far.kept["one"] < -1.5
    assert any('far from the model: the answers to "one" are larger' in note for note in far.notes)


def test_names_of_the_same_tokens_are_told_and_cannot_both_go_and_stay() -> None:
    class Joined(Worded):
        def tokens(self, text: str) -> list[int]:
            return super().tokens(text.replace("&", " & "))

    encoder = Joined(WIDTH)
    states, _ = encode_request(encoder, request("aa&e\naa & e\nbbe", preserve=()))
    assert '"aa&e" and "aa & e" are the same to the text encoder' in states.notes
    with pytest.raises(ScaPreError, match=r'preserve: "aa & e" has the same tokens as the concept "aa&e"'):
        encode_request(encoder, request("aa&e", preserve=("aa & e",)))
    measured, _ = encode_request(encoder, ask("aa&e", ScaPreSettings(), preserve=("aa & e",)))
    assert '"aa & e", which is preserved, is "aa&e" to the text encoder' in measured.notes


def test_wordings_of_other_methods_are_not_taken_over() -> None:
    asked = request("one", templates=TEMPLATES["styles"])
    assert asked.templates == ("{concept}",) and len(asked.pairs()) == 1


def test_typed_wordings_that_are_too_long_are_refused() -> None:
    asked = request("one", Settings(wordings="NAME; " + "very " * 80 + "NAME beside OTHER"))
    with pytest.raises(ScaPreError, match=r'wordings: "very very .* more than the 71 tokens'):
        encode_request(Encoder(WIDTH), asked)
    with pytest.raises(ScaPreError, match="needs NAME once"):
        Settings(wordings="RENAMED by it")


def test_why_no_kin_were_found_is_told() -> None:
    def told(encoder: Encoder, **more: bool) -> str:
        concepts = (Concept("unheard"),)
        return " ".join(kin_notes(concepts, find_kin(encoder, concepts, (), ["object"], **more)))

    assert 'no words were found near to "unheard"' in told(Worded(WIDTH))
    assert "since search is off" in told(Worded(WIDTH), search=False)
    assert "vocabulary cannot be read" in told(Encoder(WIDTH))


class Kinds(Worded):
    """The second family lies halfway between the first and nothing."""

    def lexicon(self) -> Lexicon:
        found = super().lexicon()
        shared = found.embeddings[:8].mean(0)
        found.embeddings[8:16] += 0.45 * shared
        return Lexicon(found.words, found.ids, found.embeddings)


def test_where_all_of_a_kind_go_words_of_another_kind_are_no_kin() -> None:
    encoder = Kinds(WIDTH)
    (some, *_) = kin_beside(encoder, [Concept(word) for word in Worded.WORDS[:3]], (), "object")
    assert some.found and set(some.words[:5]) == set(Worded.WORDS[3:8])
    concepts = [Concept(word) for word in Worded.WORDS[:8]]
    gone = kin_beside(encoder, concepts, (), "object")
    assert not any(kin.found for kin in gone) and all(kin.all_go and kin.known for kin in gone)
    (note,) = kin_notes(concepts, gone)
    assert note.startswith('all that is near to "aae", "aaf"') and "preserve" not in note
    few = concepts[:5]  # too few are left for an anchor, and they are as near as those that go
    left = kin_beside(encoder, few, (), "object")
    assert not any(kin.known for kin in left) and "preserve" in " ".join(kin_notes(few, left))
    lone = kin_beside(encoder, [Concept(Worded.WORDS[0])], Worded.WORDS[1:8], "object")[0]
    assert lone.found and lone.words[:7] != ()


def test_nothing_near_is_at_risk_where_all_of_a_kind_go() -> None:
    asked = request("\n".join(Worded.WORDS[:8]), preserve=())
    encoder = Kinds(WIDTH)
    gone = study(encoder, asked.concepts.concepts, (), kin_of(encoder, asked), Wordings(), silent)
    assert gone.known == 1 and [reach_of(gone, harmed) for harmed in (0.0, 0.5)] == [2, 1]
    assert reach_of(replace(gone, known=0.4), 0.0) == 1.35


def test_other_words_for_a_name_are_no_others_of_its_kind() -> None:
    class Cats(Worded):
        """Four words lie where "cat" does, and four halfway."""

        WORDS = ("cat", "cats", "kitty", "feline", "kitten", *Worded.WORDS[:4])
        OTHERS = tuple("zz" + "".join(letters) for letters in product("abcdefghijklmn", repeat=3))

        def lexicon(self) -> Lexicon:
            table = torch.randn(len(self._ids), 256, generator=torch.Generator().manual_seed(0))
            table[1:5] = table[0] + 0.1 * table[1:5]
            table[5:9] += 0.7 * table[0]
            return Lexicon.of({f"{word}</w>": number for word, number in self._ids.items()}, table)

    (cat, *_) = kin_beside(Cats(WIDTH), [Concept(word) for word in Cats.WORDS[:5]], (), "object")
    assert cat.found and not cat.all_go and set(cat.words[:4]) == set(Cats.WORDS[5:])


def test_sums_of_edits_whose_kin_are_each_other_say_what_they_lack() -> None:
    encoder = Worded(WIDTH)
    settings = Settings(hold=1, keep=20)
    one, two = (edit_of(request(name, settings, preserve=()), encoder, torch.float32) for name in ("aae", "aaf"))
    summed = merge_edits({"a": one, "b": two}, WEIGHTS)
    assert any("was added up" in note and "give the text encoder" in note for note in summed.report.notes)
    assert any(note.startswith("less erased than in the edits themselves: ") for note in summed.report.notes)
    read = merge_edits({"a": one, "b": two}, WEIGHTS, encoder=encoder)
    assert not any("added up" in note or "less erased" in note for note in read.report.notes)
    assert read.report.remaining["aae"] < summed.report.remaining["aae"]


def test_a_kept_moment_of_another_shape_is_not_believed() -> None:
    class Wrong(Worded):
        def remembered(self, key, make):
            return torch.ones(3)

    asked = request("aae", preserve=())
    wrong, right = (encode_request(encoder, asked)[0].moments["common"] for encoder in (Wrong(WIDTH), Worded(WIDTH)))
    assert torch.equal(wrong, right)


def low_rank(width: int, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """D of a rank in single precision, a metric and states that are held, in double."""
    generator = torch.Generator().manual_seed(rank)
    way = torch.randn(width, rank, generator=generator) @ torch.randn(rank, width, generator=generator)
    rows = torch.randn(3 * width, width, generator=generator).double()
    held = torch.linalg.qr(torch.randn(width, 5, generator=generator).double()).Q
    return way.double(), rows.T @ rows + torch.eye(width), held


@pytest.mark.parametrize(("rank", "columns"), [(1, 1), (7, 7), (15, None), (40, None)])
def test_few_names_are_solved_by_the_rank_of_their_way(rank: int, columns: int | None) -> None:
    way, metric, held = low_rank(64, rank)
    thin, dense = Product.of(way, 0), Product(None, way.T)
    assert (None if thin.left is None else thin.right.shape[1]) == columns
    assert error(thin.whole(), way) < 1e-6
    found, wanted = (constrained(one, metric, held) for one in (thin, dense))
    assert error(found.whole(), wanted.whole()) < 1e-6
    assert (found.whole() @ held).norm() < 1e-12 * wanted.whole().norm()
    assert float(found.size(metric)) == pytest.approx(float((wanted.whole() @ metric @ wanted.whole().T).trace()), 1e-5)
    if found.left is not None:
        exact = right_factors(found.left, found.right, torch.float32, held)
        assert error(exact["left"] @ exact["basis"].T, wanted.whole()) < 1e-5
        short = right_factors(found.left, found.right, torch.float32, held, 0.3)
        assert short["basis"].shape[1] < rank or rank == 1
        assert error(short["left"] @ short["basis"].T, wanted.whole()) < 0.3
