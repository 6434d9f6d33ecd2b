"""FIA equals its equations on a toy model that draws, whatever is drawn together and in whatever order."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods import METHODS, closed_form, closed_forms
from pack.scapre.methods.fia import Settings, lists
from pack.scapre.methods.fia.observe import observe
from pack.scapre.methods.fia.prompts import SETTINGS, plan
from pack.scapre.methods.fia.saliency import Contrast, Moments, exact, released
from pack.scapre.methods.fia.selection import ReleasedSensitivity, Sensitivity, agnostic_from, fuse, select
from pack.scapre.report.data import report_data
from pack.scapre.report.markdown import render
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.tests import worlds
from pack.tests.methods import fia_oracle as oracle

DOUBLE = torch.float64
SHAPES = [(6, 10), (5, 7)]
SMALL = Settings(pairs=4, steps=6, recorded=3, neuron_ratio=0.25, persistence_ratio=0.2)


class Toy:
    """A model of two feed-forward layers, as the engine reads it and watches it draw."""

    family = "SD1.x"

    def __init__(self, batch: int = 3, dtype: torch.dtype = DOUBLE) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weights = {
            f"b.{i}.ff.net.2.weight": torch.randn(shape, generator=generator, dtype=DOUBLE)
            for i, shape in enumerate(SHAPES)
        }
        self.roles = dict.fromkeys(self.weights, Role.FEED_FORWARD)
        self.batch, self.dtype, self.drawn = batch, dtype, 0
        self.hidden = [torch.randn(d, 8, generator=generator, dtype=DOUBLE) for _, d in SHAPES]

    def read(self, name: str, device: torch.device) -> torch.Tensor:
        return self.weights[name].to(device)

    def begin(self, texts, names) -> None:
        self.texts, self.looked = list(texts), set(names)
        self.latents = [torch.linspace(-1, 1, 40, dtype=DOUBLE).view(5, 8).sin()] * len(texts)

    def advance(self, places, step, watch) -> None:
        assert len(places) <= self.batch
        self.drawn += len(places)
        for name, hidden in zip(self.weights, self.hidden, strict=True):
            inputs = torch.stack([self._moved(place, step) @ hidden.T for place in places]).relu() + 0.01
            if name in self.looked:
                watch(name, inputs.to(self.dtype), (inputs @ self.weights[name].T).to(self.dtype))
        for place in places:
            self.latents[place] = self._moved(place, step)

    def _moved(self, place: int, step: int) -> torch.Tensor:
        own = [torch.Generator().manual_seed(sum(map(ord, word))) for word in self.texts[place].split()]
        words = sum(torch.randn(5, 8, generator=generator, dtype=DOUBLE) for generator in own)
        return (self.latents[place] + words * (1 + step) / 3).tanh()

    def seen(self, texts, steps):
        """What each prompt shows at each step in each layer, drawn one by one."""
        found = []
        self.batch = max(self.batch, 1)
        for text in texts:
            self.begin([text], self.weights)
            found.append([[] for _ in range(steps)])
            for step in range(steps):
                self.advance([0], step, lambda name, x, y, at=found[-1][step]: at.append((x[0], y[0])))
        return found


def edit_of(
    names: str, preserve: tuple[str, ...] = (), settings: Settings = SMALL, toy: Toy | None = None, rounds: int = 1
) -> Edit:
    toy = toy or Toy()
    parsed = parse_concepts(names, "")
    request = Request(parsed, preserve, settings, method="fia")
    drawn = plan(settings.kind, settings.words, settings.pairs, [*(c.text for c in parsed.concepts), *preserve])
    states, _ = encode_request(worlds.Encoder(12), request)
    moments = observe(toy, toy, tuple(toy.weights), drawn, settings, dtype=DOUBLE, rounds=rounds)
    return solve_edit(replace(states, moments=moments), toy, request, dtype=DOUBLE)


def cuts(edit: Edit) -> list[set[tuple[int, int]]]:
    return [
        {tuple(place) for place in lists.unpack(own["counts"], own["columns"], shape[1]).nonzero().tolist()}
        for own, shape in zip(edit.payload.matrices.values(), SHAPES, strict=True)
    ]


def test_saliency_is_that_of_the_equation() -> None:
    weight, (x, y) = next(iter(Toy().weights.values())), Toy().seen(["a cat"], 1)[0][0][0]
    assert (weight.abs() * exact(x, y) - oracle.saliency(weight, x, y)).abs().max() < 1e-10
    assert (weight.abs() * released(x, y) - oracle.as_released(weight, x, y)).abs().max() < 1e-10


@pytest.mark.parametrize("measure", [exact, released])
def test_contrast_is_that_of_the_equation(measure) -> None:
    toy, texts = Toy(), ["a hut", "a pond", "a road", "a cat in a hut", "a cat by a pond"]
    weight = next(iter(toy.weights.values()))
    seen = [steps[0][0] for steps in toy.seen(texts, 1)]
    base = Moments()
    for x, y in seen[:3]:
        base.add(measure(x, y))
    found = Contrast(base.bound(), 2)
    for x, y in seen[3:]:
        found.add(measure(x, y))
    plain = [weight.abs() * measure(x, y) for x, y in seen]
    assert (weight.abs() * found.value() - oracle.contrast(plain[3:], plain[:3])).abs().max() < 1e-10


@pytest.mark.parametrize("scaled", [False, True])
def test_sensitivity_and_selection_are_those_of_the_equations(scaled: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(9, 12, generator=generator, dtype=DOUBLE)
    shape = (1, 12) if scaled else (9, 12)
    steps = [(torch.randn(shape, generator=generator, dtype=DOUBLE) - 0.5).clamp(min=0) for _ in range(4)]
    found = (ReleasedSensitivity if scaled else Sensitivity)(0.1, 4)
    for step in steps:
        found.add(step, weight)
    wanted = oracle.sensitivity([weight.abs() * step for step in steps], 0.1, scaled)
    assert (found.value(weight) - wanted).abs().max() < 1e-12
    for share in (0.01, 0.1, 0.3, 0.5):
        assert {tuple(place) for place in select(wanted, share).nonzero().tolist()} == oracle.selected(wanted, share)


@pytest.mark.parametrize("saliency", ["exact", "released"])
@pytest.mark.parametrize(("names", "preserve"), [("cat", ()), ("cat\ndog", ()), ("cat\ndog\nfox\nowl", ("bee", "ant"))])
def test_what_is_cut_is_what_the_equations_cut(names: str, preserve: tuple[str, ...], saliency: str) -> None:
    settings, toy = replace(SMALL, saliency=saliency), Toy()
    drawn = plan("object", "", settings.pairs, [*names.split("\n"), *preserve])
    seen = Toy().seen(drawn.texts, settings.recorded)
    wanted = oracle.masks(list(toy.weights.values()), seen, drawn.base, drawn.named, len(names.split("\n")), settings)
    assert cuts(edit_of(names, preserve, settings)) == wanted
    assert all(wanted)


def test_the_weights_that_are_cut_are_zero_and_all_others_stay() -> None:
    edit, toy = edit_of("cat"), Toy()
    for (name, weight), places in zip(toy.weights.items(), cuts(edit), strict=True):
        after = weight + edit.delta(name, weight)
        rows, columns = zip(*places, strict=True)
        assert (after[rows, columns] == 0).all()
        assert int((after != weight).sum()) == len(places)
        half = weight.half()
        assert (half + edit.delta(name, half).half())[rows, columns].count_nonzero() == 0  # also after rounding


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_what_is_drawn_together_makes_no_difference(batch: int) -> None:
    assert cuts(edit_of("cat\ndog", ("bee",), toy=Toy(batch))) == cuts(edit_of("cat\ndog", ("bee",)))


@pytest.mark.parametrize("rounds", [2, 3])
def test_rounds_make_no_difference_and_each_draws_all_pictures(rounds: int) -> None:
    one, more = Toy(), Toy()
    found = edit_of("cat\ndog", ("bee",), toy=more, rounds=rounds)
    assert found.payload.same_as(edit_of("cat\ndog", ("bee",), toy=one).payload)
    assert more.drawn == min(rounds, len(SHAPES)) * one.drawn


def test_the_bar_never_goes_back_between_rounds() -> None:
    told = []
    toy, drawn = Toy(), plan("object", "", SMALL.pairs, ["cat"])
    observe(toy, toy, tuple(toy.weights), drawn, SMALL, rounds=2, progress=lambda *one: told.append(one))
    stages = [stage for stage, _ in itertools.groupby(told, key=lambda one: one[0])]
    assert stages == ["drawing", "selection"]
    drawing = [(done, total) for stage, done, total in told if stage == "drawing"]
    assert drawing == sorted(drawing) and drawing[-1] == (toy.drawn, toy.drawn)


def test_the_order_of_the_names_makes_no_difference() -> None:
    found = [cuts(edit_of("\n".join(names))) for names in itertools.permutations(["cat", "dog", "fox"])]
    assert all(one == found[0] for one in found)


def test_base_prompts_are_drawn_once_for_all_names() -> None:
    one, ten = Toy(), Toy()
    edit_of("cat", toy=one)
    edit_of("\n".join(["cat", "dog", "fox", "owl", "bee", "ant", "elk", "eel", "cod", "yak"]), toy=ten)
    assert one.drawn == 3 * 2 * SMALL.pairs
    assert ten.drawn == 3 * 11 * SMALL.pairs  # 5.5 times one
    assert ten.drawn <= 6 * one.drawn


def test_edits_are_merged_as_if_their_names_had_been_in_one_list() -> None:
    first, second = edit_of("cat\ndog", ("bee",)), edit_of("fox", ("ant",))
    merged = merge_edits({"edit_1": first, "edit_2": second}, Toy())
    together = edit_of("cat\ndog\nfox", ("bee", "ant"))
    assert cuts(merged) == cuts(together)
    assert merged.payload.same_as(together.payload)
    assert [concept.text for concept in merged.concepts] == ["cat", "dog", "fox"]


def test_a_name_in_two_edits_counts_once() -> None:
    merged = merge_edits({"edit_1": edit_of("cat\ndog"), "edit_2": edit_of("dog\nfox")}, Toy())
    assert cuts(merged) == cuts(edit_of("cat\ndog\nfox"))


def test_settings_that_differ_are_told_with_what_of_them_counts() -> None:
    merged = merge_edits({"edit_1": edit_of("cat"), "edit_2": edit_of("fox", settings=replace(SMALL, pairs=3))}, Toy())
    assert any("pairs" in note and "only agnostic_ratio counts" in note for note in merged.report.notes)


def test_a_name_is_taken_out_as_if_it_had_never_been_there() -> None:
    left = merge_edits({"edit_1": edit_of("cat\ndog\nfox", ("bee",))}, Toy(), ["dog"])
    assert left.payload.same_as(edit_of("cat\nfox", ("bee",)).payload)


@pytest.mark.parametrize("names", [True, False])
def test_a_file_gives_the_edit_back_and_can_be_merged(tmp_path, names: bool) -> None:
    edit = edit_of("cat\ndog", ("bee",))
    write_edit(edit, tmp_path / "e.safetensors", names=names)
    again = read_edit(tmp_path / "e.safetensors")
    assert again.payload.same_as(edit.payload) and again.digest == edit.digest and again.settings == SMALL
    merged = merge_edits({"edit_1": again, "edit_2": edit_of("fox")}, Toy())
    assert cuts(merged) == cuts(edit_of("cat\ndog\nfox", ("bee",)))


def test_a_file_without_states_is_applied_and_says_why_it_is_not_merged(tmp_path) -> None:
    edit = edit_of("cat")
    write_edit(edit, tmp_path / "e.safetensors", states=False)
    again = read_edit(tmp_path / "e.safetensors")
    assert again.payload.same_as(edit.payload)
    with pytest.raises(ScaPreError, match=r"edit_1 was saved without what was seen.*Make it again"):
        merge_edits({"edit_1": again, "edit_2": edit_of("fox")}, Toy())


@pytest.mark.parametrize("spoil", ["counts", "columns", "order", "moments", "heights"])
def test_lists_that_do_not_belong_together_are_refused(tmp_path, spoil: str) -> None:
    edit = edit_of("cat")
    name, own = next((name, dict(own)) for name, own in edit.payload.matrices.items() if own["counts"].max() > 1)
    if spoil == "counts":
        own["counts"] = own["counts"] + 1
    if spoil == "columns":
        own["columns"] = own["columns"] + 1000
    if spoil == "order":
        own["columns"] = own["columns"].flip(0)
    matrices = {**edit.payload.matrices, name: own}
    states = edit.states
    if spoil == "moments":
        states = replace(states, moments={**states.moments, "columns": states.moments["columns"][1:]})
    if spoil == "heights":
        states = replace(states, moments={**states.moments, "heights": states.moments["heights"] + 1})
    wrong = replace(edit, payload=type(edit.payload)({}, matrices), states=states)
    write_edit(wrong, tmp_path / "e.safetensors")
    with pytest.raises(ScaPreError, match=r"damaged|belong together|values from"):
        read_edit(tmp_path / "e.safetensors")


def test_merging_refuses_another_model() -> None:
    class Wider(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.weights = {name: torch.cat([weight, weight]) for name, weight in self.weights.items()}

    with pytest.raises(ScaPreError, match="made for another"):
        merge_edits({"edit_1": edit_of("cat")}, Wider())


def test_what_a_preserved_name_needs_is_not_cut() -> None:
    alone, held = edit_of("cat"), edit_of("cat", ("dog",))
    needed = edit_of("dog")
    for before, after, own in zip(cuts(alone), cuts(held), cuts(needed), strict=True):
        assert after == before - own
    assert cuts(alone) != cuts(held)


@pytest.mark.parametrize(
    ("ratio", "concepts", "limit"), [(0.6, 1, 2), (1, 1, 2), (0.5, 2, 2), (0.6, 10, 6), (0.7, 10, 7)]
)
def test_one_concept_is_always_cut(ratio: float, concepts: int, limit: int) -> None:
    assert agnostic_from(ratio, concepts) == limit


def test_fusion_counts_what_is_shared_and_what_is_kept() -> None:
    q = torch.tensor([[[1, 1, 1, 0]], [[1, 0, 0, 0]], [[0, 0, 1, 0]]], dtype=torch.bool)
    found = fuse(q, 2, 0.6)
    assert found.shared.tolist() == [[True, False, False, False]]
    assert found.cut.tolist() == [[False, True, False, False]]
    assert found.kept.tolist() == [[False, False, True, False]]


def test_lists_hold_any_mask() -> None:
    generator = torch.Generator().manual_seed(3)
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = torch.rand(7, 300, generator=generator) < share
        counts, columns = lists.pack(mask)
        assert torch.equal(lists.unpack(counts, columns, 300), mask) and lists.agree(counts, columns)
        parts = lists.split(counts, columns, [3, 4])
        assert torch.equal(torch.cat([lists.unpack(*part, 300) for part in parts]), mask)


def test_a_layer_that_is_too_wide_is_refused() -> None:
    with pytest.raises(ScaPreError, match="wider than an edit can list"):
        lists.pack(torch.zeros(1, lists.WIDEST + 1, dtype=torch.bool))


def test_prompts_are_those_of_the_paper() -> None:
    found = plan("object", "hut; pond", 30, ["cat"])
    assert found.texts == ("a hut", "a pond", "a cat in a hut", "a cat near the pond")
    assert plan("object", "hut\npond", 30, ["cat"]).texts == found.texts
    found = plan("style", "hut", 30, ["Ada"])
    assert found.texts == ("a hut", "a hut in the style of Ada")
    found = plan("explicit", "man", 30, ["naked"])
    assert found.texts == ("a photo of a man", "a photo of a naked man")
    assert {name: len(one.words) for name, one in SETTINGS.items()} == {"object": 30, "style": 30, "explicit": 18}


def test_a_name_is_not_drawn_beside_itself() -> None:
    found = plan("object", "hut; Pond; hut", 30, ["pond", "cat"])
    assert found.texts == ("a hut", "a Pond", "a pond in a hut", "a cat in a hut", "a cat near the Pond")
    with pytest.raises(ScaPreError, match="only everyday word"):
        plan("object", "cat", 30, ["cat"])


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    class Broken(Toy):
        def advance(self, places, step, watch) -> None:
            super().advance(places, step, lambda name, x, y: watch(name, x * float("nan"), y))

    with pytest.raises(ScaPreError, match=r"model: it gave NaN.*another precision"):
        edit_of("cat", toy=Broken())


def test_a_model_whose_layers_show_nothing_is_refused() -> None:
    class Compiled(Toy):
        def advance(self, places, step, watch) -> None:
            pass

    with pytest.raises(ScaPreError, match=r"2 of 2 feed-forward layers did nothing.*torch.compile"):
        edit_of("cat", toy=Compiled())


@pytest.mark.parametrize("wrong", [{"recorded": 0}, {"steps": 0}, {"pairs": 1}, {"recorded": 51}, {"cfg": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ScaPreError, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_large_cut_is_warned_of_with_its_share() -> None:
    notes = edit_of("cat\ndog", settings=replace(SMALL, neuron_ratio=0.5)).report.notes
    assert any("% where it is most" in note for note in notes)
    assert any("more than 5% of a layer is cut" in note for note in notes)


def test_a_name_that_nothing_answers_is_told() -> None:
    class Deaf(Toy):
        def begin(self, texts, names) -> None:
            bare = [text.removesuffix(" in a hut").removeprefix("a cat").strip() or "a hut" for text in texts]
            super().begin(bare, names)

    edit = edit_of("cat", settings=replace(SMALL, words="hut"), toy=Deaf())
    assert cuts(edit) == [set(), set()]
    assert any('no weight answers "cat"' in note for note in edit.report.notes)


def test_the_report_counts_weights() -> None:
    edit = edit_of("cat\ndog", ("bee",))
    data = report_data(edit, "done")
    assert [(row["name"], row["role"]) for row in data["neurons"]] == [
        ("cat", "erased"), ("dog", "erased"), ("bee", "stays")
    ]  # fmt: skip
    total = set().union(*({(i, *place) for place in cut} for i, cut in enumerate(cuts(edit))))
    for row in data["neurons"][:2]:
        assert 0 < row["cut"] <= row["answering"] and row["cut"] <= len(total)
    assert data["neurons"][2]["cut"] == 0
    assert data["drift"] == [] and data["conflicts"] is None
    text = render(data)
    assert "| answering |" in text and "remaining" not in text
    assert f"weights cut {len(total):,}" in text


def test_it_is_offered_by_its_own_node_alone() -> None:
    assert "fia" in METHODS and "fia" not in closed_forms()
    with pytest.raises(ScaPreError, match=r"fia.* is unknown"):
        closed_form("fia")
