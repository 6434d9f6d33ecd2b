"""The compact edit, its report, and the settings that made it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pack.scapre.edits.fingerprint import fingerprint, sample, sketch, sketch_size
from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.methods import METHODS
from pack.scapre.methods.scapre.settings import PRESETS, Settings
from pack.scapre.report.data import report_data
from pack.scapre.report.markdown import render
from pack.tests.worlds import CASES, SHAPES, WIDTH, Encoder, Projections, ask, edit_of, error


def test_an_edit_is_frozen_and_says_what_made_it():
    edit = edit_of(ask("cat -> dog", Settings(), seed=5), Projections(SHAPES))
    assert (edit.concepts[0].text, edit.concepts[0].anchor, edit.seed, edit.family) == ("cat", "dog", 5, "SD1.x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        edit.seed = 6  # type: ignore[misc]
    for mapping in (edit.payload.shared, edit.shapes, edit.payload.matrices["block.0.weight"]):
        with pytest.raises(TypeError):
            mapping["basis"] = torch.zeros(1)  # type: ignore[index]


def test_an_edit_refuses_other_names_and_shapes():
    edit = edit_of(ask("cat", Settings()), Projections(SHAPES))
    with pytest.raises(ScaPreError, match="no projection"):
        edit.delta("elsewhere", torch.zeros(40, WIDTH))
    with pytest.raises(ScaPreError, match="41"):
        edit.delta("block.0.weight", torch.zeros(41, WIDTH))


def test_fifty_concepts_of_sdxl_fit_in_150_mb():
    # Sizes follow from the shapes: one matrix of each width is solved, and the rest is counted.
    names = "\n".join(f"name {i}" for i in range(50))
    projections = Projections([(640, 2048), (1280, 2048)])
    edit = edit_of(ask(names, PRESETS["objects-many"].settings), projections, torch.float32, 2048)
    rows = {len(r["retention"]): sum(t.nbytes for t in r.values()) for r in edit.payload.matrices.values()}
    shared = sum(t.nbytes for t in edit.payload.shared.values())
    states = edit.states.states.nbytes + sum(values.nbytes for values in edit.sketch.values())
    assert edit.nbytes == shared + sum(rows.values()) + states
    assert shared + states + 20 * rows[640] + 120 * rows[1280] <= 150e6


@pytest.mark.parametrize("case", ["preset objects-few", "preset confusable-many", "valve"])
def test_the_report_equals_what_the_dense_change_does(case):
    request = ask("cat -> dog\nbird", CASES[case], preserve=("fish",))
    projections, states = (
        Projections(SHAPES),
        encode_request(Encoder(WIDTH), ask("cat -> dog\nbird", CASES[case], preserve=("fish",)))[0],
    )
    edit = edit_of(request, projections)
    weights = torch.cat([w.double() for w in projections.weights.values()])
    deltas = torch.cat([edit.delta(name, weight) for name, weight in projections.weights.items()])
    state = {t: states.of(t)[states.last[t]].double() for t in ("cat", "dog", "bird", "fish")}
    gap = weights @ (state["cat"] - state["dog"])
    assert edit.report.remaining["cat"] == pytest.approx(((gap + deltas @ state["cat"]).norm() / gap.norm()).item())
    answer = weights @ state["bird"]
    assert edit.report.kept["bird"] == pytest.approx(
        ((answer + deltas @ state["bird"]) @ answer / (answer @ answer)).item()
    )
    for text in ("dog", "fish"):
        drift = (deltas @ state[text]).norm() / (weights @ state[text]).norm()
        assert edit.report.drift[text] == pytest.approx(drift.item())
    null = states.of("").double().T
    assert edit.report.drift[""] == pytest.approx(((deltas @ null).norm() / (weights @ null).norm()).item())
    for name, weight in projections.weights.items():
        change = edit.delta(name, weight).norm() / weight.double().norm()
        assert edit.report.change[name] == pytest.approx(change.item())


def test_the_rendered_report_names_everything():
    edit = edit_of(ask("cat -> dog\ncat -> dog", Settings(), preserve=("fish",)), Projections(SHAPES))
    text = render(report_data(edit, "Title", ["line"]))
    for part in ("Title", "line", "cat", "dog", "fish", "(empty prompt)", "Seconds", "3 matrices", "already in line 1"):
        assert part in text
    assert "do not prove" in text and "do not yet change the edit" in text


def test_a_fingerprint_tells_weights_apart():
    weight = torch.randn(300, 200)
    changed = weight.clone()
    changed += 1e-3 * torch.randn(300, 1) @ torch.randn(1, 200)
    prints = {fingerprint([("a", sample(w))]) for w in (weight, weight.clone(), changed)}
    assert len(prints) == 2
    assert fingerprint([("a", sample(weight))]) != fingerprint([("b", sample(weight))])
    named = [("blocks.10", sample(weight)), ("blocks.9", sample(changed))]
    assert fingerprint(named) == fingerprint(named[::-1])
    assert torch.equal(sample(weight.half()), sample(weight.half().float()))


@pytest.mark.parametrize("shape", [(1, 48), (40, 48), (320, 768), (640, 2048), (1280, 2048), (1280, 1024)])
def test_samples_come_from_everywhere(shape):
    rows, columns = torch.arange(shape[0])[:, None], torch.arange(shape[1])[None]
    places = sample((rows * shape[1] + columns).double()).long()
    few = sketch(places)
    assert len(few) == sketch_size(*shape) <= 256
    assert len(places) == min(shape[0] * shape[1], len(places.unique())) <= 4096
    for taken, least in ((places, 0.95), (few, 0.15)):
        assert len((taken % shape[1]).unique()) >= least * min(shape[1], len(taken))
        assert (taken // shape[1]).max() >= 0.9 * (shape[0] - 1)


@pytest.mark.parametrize("share", [0.001, 0.03, 0.5])
@pytest.mark.parametrize("rank", [None, 4])
def test_the_difference_of_weights_is_told_as_exactly_as_promised(share, rank):
    generator = torch.Generator().manual_seed(5)
    projections, others = Projections([(320, 768)] * 8), Projections([(320, 768)] * 8)
    for weight in others.weights.values():
        change = torch.randn(weight.shape, generator=generator)
        if rank:  # as a LoRA changes them
            change = torch.randn(320, rank, generator=generator) @ torch.randn(rank, 768, generator=generator)
        weight += share * weight.norm() * change / change.norm()
    edit = edit_of(ask("cat", Settings(samples=2, bins=2)), projections, torch.float32, 768)
    found = edit.difference({name: sample(weight) for name, weight in others.weights.items()})
    assert found == pytest.approx(share, rel=0.06 if rank is None else 0.15)
    assert edit.difference({name: sample(weight) for name, weight in projections.weights.items()}) == 0
    with pytest.raises(ScaPreError, match=r"block\.0\.weight"):
        edit.difference({})


def test_two_edits_are_the_same_if_they_do_the_same():
    projections = Projections(SHAPES)
    edit, again, other = (edit_of(ask(text, Settings()), projections) for text in ("cat", "cat", "dog"))
    assert edit.same_as(again) and edit.same_as(hide_names(edit)) and not edit.same_as(other)
    assert not edit.same_as(edit_of(ask("cat", Settings(), seed=8), projections))
    assert edit.difference_from(other) == 0
    assert edit.difference_from(edit_of(ask("cat", Settings()), Projections(SHAPES, seed=1))) > 0.5


def test_presets_carry_the_documented_values():
    assert PRESETS["objects-few"].settings == Settings(variant="precise", gate_power=2, alpha_min=0.8, samples=20)
    many = PRESETS["objects-many"].settings
    assert (many.variant, many.erase_scale, many.gate_power, many.bures_steps, many.informax) == (
        "scale",
        3,
        5,
        1,
        True,
    )
    confusable = PRESETS["confusable"].settings
    assert (confusable.variant, confusable.residual, confusable.alpha_min, confusable.gate_power) == (
        "precise",
        True,
        1,
        2,
    )
    long = PRESETS["confusable-many"].settings
    assert (long.spectral, long.erase_scale, long.gate_power, long.samples, long.bins) == (True, 2, 8, 30, 20)
    styles = PRESETS["styles"]
    assert (styles.anchor, styles.settings.alpha_min, styles.settings.gate_power) == ("art", 0.5, 2)
    explicit = PRESETS["explicit"]
    assert (explicit.settings.informax, explicit.settings.erase_scale, explicit.settings.gate_power) == (False, 2, 3)
    assert len(explicit.concepts) == 6
    assert all(preset.settings.ridge == 0.5 and preset.about for preset in PRESETS.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ridge", 0),
        ("ridge", float("nan")),
        ("bins", 1),
        ("samples", 1),
        ("alpha_min", 1.5),
        ("variant", "x"),
        ("noise", -1),
    ],
)
def test_settings_outside_their_range_are_refused(name, value):
    with pytest.raises(ScaPreError, match=name):
        METHODS["scapre"].choose("styles", {name: value})


def test_unknown_presets_and_settings_are_refused():
    with pytest.raises(ScaPreError, match="objects-few"):
        METHODS["scapre"].choose("nope")
    with pytest.raises(ScaPreError, match="lambda"):
        METHODS["scapre"].choose("styles", {"lambda": 1})


def test_moving_an_edit_keeps_its_values():
    projections = Projections(SHAPES)
    edit = edit_of(ask("cat", CASES["valve"]), projections, torch.float32)
    moved = edit.to("meta")
    assert moved.payload.shared["basis"].device.type == "meta" and edit.payload.shared["basis"].device.type == "cpu"
    name, weight = next(iter(projections.weights.items()))
    assert error(edit.to("cpu").delta(name, weight), edit.delta(name, weight).double()) == 0
