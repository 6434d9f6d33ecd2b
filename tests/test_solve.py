"""The edit against the row-by-row oracle, and the properties that the mathematics promises."""

from __future__ import annotations

import itertools

import pytest
import torch

from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.methods.scapre.settings import Settings
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import TEMPLATES
from pack.tests import oracle
from pack.tests.worlds import (
    CASES,
    LISTS,
    SHAPES,
    WIDTH,
    Encoder,
    Projections,
    ask,
    edit_of,
    error,
    reference,
)


@pytest.mark.parametrize("names", LISTS)
@pytest.mark.parametrize("case", CASES)
def test_the_edit_equals_the_row_by_row_solution(case, names):
    request, projections = ask(LISTS[names], CASES[case]), Projections(SHAPES)
    for dtype, bound in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        edit = edit_of(request, projections, dtype)
        for name, weight in projections.weights.items():
            assert error(edit.delta(name, weight), reference(request, weight)) < bound


@pytest.mark.parametrize("case", ["preset objects-few", "preset objects-many", "preset confusable-many"])
def test_float32_holds_at_the_width_and_norms_of_clip(case):
    names = "\n".join(f"name {'x ' * (i % 3)}{i}" for i in range(12))
    request, projections = ask(names, CASES[case]), Projections([(16, 768)])
    edit = edit_of(request, projections, torch.float32, 768)
    for name, weight in projections.weights.items():
        assert error(edit.delta(name, weight), reference(request, weight)) < 1e-4


def test_the_gradient_of_the_ridge_objective_vanishes_at_the_solution():
    # precise without blend: W' minimises λ‖W'-W‖² + ‖W'C‖² + s Σ‖W'x - v‖², v the gated targets.
    request = ask("one\ntwo -> thing", Settings(informax=False, alpha_min=1.0, ridge=0.7, erase_scale=1.3))
    projections = Projections([(20, WIDTH)])
    (name, weight), states = next(iter(projections.weights.items())), encode_request(Encoder(WIDTH), request)[0]
    edited = (weight.double() + edit_of(request, projections).delta(name, weight)).requires_grad_()
    loss = 0.7 * (edited - weight.double()).square().sum()
    for item in oracle.items_of(states, request.pairs()):
        x, y = oracle.aligned(item)
        loss = loss + (edited @ x[0].double()).square().sum()
        loss = loss + 1.3 * (edited @ x.double().T - weight.double() @ y.double().T).square().sum()
    (gradient,) = torch.autograd.grad(loss, edited)
    assert gradient.norm() < 1e-9 * loss.detach()


def test_directions_outside_the_token_states_are_untouched():
    request, projections = ask("name", CASES["preset objects-few"]), Projections([(20, 128)])
    states, _ = encode_request(Encoder(128), request)
    edit = edit_of(request, projections, width=128)
    pair = request.pairs()[0]
    tokens = states.of(pair.concept.text)[states.last[pair.concept.head] :].double()
    outside = torch.linalg.svd(tokens, full_matrices=True).Vh[len(tokens) :]
    (name, weight) = next(iter(projections.weights.items()))
    assert (edit.delta(name, weight) @ outside.T).abs().max() < 1e-10


@pytest.mark.parametrize("case", ["preset objects-few", "preset objects-many"])
def test_neither_order_nor_repeats_matter(case):
    projections = Projections(SHAPES)
    lines = LISTS["three anchors"].splitlines()
    orders = [lines, lines[::-1], [*lines, lines[0].upper()]]
    first, *others = (edit_of(ask("\n".join(order), CASES[case]), projections) for order in orders)
    for other, (name, weight) in itertools.product(others, projections.weights.items()):
        # The upper-case repeat is dropped; the first spelling is the one that is encoded.
        assert error(other.delta(name, weight), first.delta(name, weight)) < 1e-9


def test_same_seed_same_bits_and_another_seed_another_edit():
    projections = Projections(SHAPES)
    one, two, other = (
        edit_of(ask(LISTS["many"], CASES["preset objects-many"], seed), projections, torch.float32)
        for seed in (7, 7, 8)
    )
    name, weight = next(iter(projections.weights.items()))
    assert torch.equal(one.delta(name, weight), two.delta(name, weight))
    assert not torch.equal(one.delta(name, weight), other.delta(name, weight))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_weight_dtype_is_solved_from_its_exact_values(dtype):
    request, projections = ask(LISTS["one"], CASES["preset objects-many"]), Projections(SHAPES, dtype)
    edit = edit_of(request, projections, torch.float32)
    for name, weight in projections.weights.items():
        assert error(edit.delta(name, weight), reference(request, weight.float())) < 1e-5


@pytest.mark.parametrize("case", CASES)
def test_degenerate_weights_and_lists_stay_finite(case):
    projections = Projections(SHAPES)
    first = projections.weights["block.0.weight"]
    first[0], first[1], first[2] = 0, first[3], 1e-30
    alike = "\n".join(["name", "name ", "x -> y", "other -> name too"])
    edit = edit_of(ask(alike, CASES[case]), projections, torch.float32)
    for name, weight in projections.weights.items():
        delta = edit.delta(name, weight)
        assert delta.isfinite().all()
    assert edit.delta("block.0.weight", first)[0].abs().max() == 0
    assert all(value < float("inf") for value in edit.report.change.values())


def test_identical_states_under_two_names_are_solved():
    class Twins(Encoder):
        def _states(self, text):
            return super()._states("same" if text.startswith("twin") else text)

    request, projections = ask("twin a\ntwin b\nother", CASES["preset confusable-many"]), Projections(SHAPES)
    states, _ = encode_request(Twins(WIDTH), request)
    edit = solve_edit(states, projections, request)
    assert all(edit.delta(name, weight).isfinite().all() for name, weight in projections.weights.items())


def test_erase_scale_zero_without_quadratic_pull_changes_little_and_more_scale_changes_more():
    projections = Projections([(40, WIDTH)])
    change = [
        edit_of(ask("name", Settings(informax=False, erase_scale=scale)), projections).report.change["block.0.weight"]
        for scale in (0.01, 0.1, 1.0)
    ]
    assert change[0] < change[1] < change[2]


def test_every_text_is_encoded_once():
    request = ask("one\ntwo\nthree -> one thing\nfour -> one thing", Settings(), preserve=("kept", "one thing"))
    encoder = Encoder(WIDTH)
    encode_request(encoder, request)
    assert sorted(encoder.asked) == sorted({"", "one", "two", "three", "four", "one thing", "kept"})


def test_templates_put_concept_and_anchor_in_the_same_words():
    request = ask("Monet -> Manet\nDali", Settings(), templates=("{concept}", "a {concept} picture"))
    pairs = [(pair.concept.text, pair.concept.head, pair.anchor.text) for pair in request.pairs()]
    assert ("a Monet picture", "a Monet", "a Manet picture") in pairs
    assert ("a Dali picture", "a Dali", "") in pairs
    assert len(pairs) == 4
    for templates in TEMPLATES.values():
        assert ask("cat", Settings(), templates=templates).pairs()
    with pytest.raises(ScaPreError, match="exactly once"):
        ask("cat", Settings(), templates=("no slot",)).pairs()


def test_computing_an_edit_changes_no_weight():
    projections = Projections(SHAPES)
    before = {name: weight.clone() for name, weight in projections.weights.items()}
    edit = edit_of(ask(LISTS["many"], CASES["valve"]), projections, torch.float32)
    for name, weight in projections.weights.items():
        edit.delta(name, weight)
        assert torch.equal(weight, before[name])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_broken_weight_is_named(value):
    projections = Projections(SHAPES)
    projections.weights["block.1.weight"][3, 5] = value
    with pytest.raises(ScaPreError, match=r"block\.1\.weight"):
        edit_of(ask("name", Settings()), projections)


def test_an_encoder_of_another_width_is_named():
    with pytest.raises(ScaPreError, match=r"(?s)width 48.*takes 64"):
        edit_of(ask("name", Settings()), Projections([(8, 64)]))


def test_broken_states_are_named():
    class Broken(Encoder):
        def _states(self, text):
            return super()._states(text) * (float("nan") if text == "bad name" else 1)

    with pytest.raises(ScaPreError, match="bad name"):
        encode_request(Broken(WIDTH), ask("good\nbad name", Settings()))


def test_a_stop_in_any_stage_leaves_nothing_behind():
    class Stop(Exception):
        pass

    request, projections = ask(LISTS["many"], CASES["preset objects-many"]), Projections(SHAPES)
    states, _ = encode_request(Encoder(WIDTH), request)
    calls: list[tuple[str, int]] = []
    solve_edit(states, projections, request, progress=lambda stage, done, total: calls.append((stage, done)))
    assert {stage for stage, _ in calls} == {"statistics", "solve"}
    for target in (calls[0], calls[-2]):

        def stop(stage, done, total, target=target):
            if (stage, done) == target:
                raise Stop

        with pytest.raises(Stop):
            solve_edit(states, projections, request, progress=stop)
