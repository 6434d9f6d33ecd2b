"""DP against its equations in float64, one concept after another, and what it promises to hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pack.scapre.cli import _parser
from pack.scapre.cli.erase import request_of
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods.dp import Settings
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import Prompt
from pack.tests import edit_files
from pack.tests.worlds import SHAPES, WIDTH, Encoder, Projections, ask, edit_of, error

WEIGHTS = Projections(SHAPES)
LIST = "one -> thing\ntwo words\nthree more words -> thing\nfour -> one"
NAMES = ("fish", "a ship", "gold", "tree", "old house")
CASES = {"as released": Settings(), "all": Settings(held_share=1), "half": Settings(held_share=0.5)}


def request(text: str = LIST, settings: Settings | None = None, preserve: tuple[str, ...] = NAMES, **more):
    return ask(text, settings or Settings(), preserve=preserve, method="dp", **more)


def of(states, name: str) -> torch.Tensor:
    return states.subject(Prompt(name, name)).double()


def leading(asked, states) -> tuple[torch.Tensor, torch.Tensor]:
    """The leading directions of the preserved states, and an orthonormal basis of the rest."""
    if not asked.preserve:
        return torch.zeros(WIDTH, 0, dtype=torch.float64), torch.eye(WIDTH, dtype=torch.float64)
    left, values, _ = torch.linalg.svd(torch.stack([of(states, name) for name in asked.preserve], 1))
    count, total = 0, 0.0
    while count < len(values) and total < asked.settings.held_share * float(values.square().sum()) * (1 - 1e-12):
        total += float(values[count] ** 2)
        count += 1
    return left[:, :count], left[:, count:]


def oracle(asked, weight: torch.Tensor) -> torch.Tensor:
    """ΔW = W (C* - C) X⁺ U₂ᵀ with c* = S S⁺ c."""
    states, _ = encode_request(Encoder(WIDTH), asked)
    held, rest = leading(asked, states)
    ways, parts = [], []
    for pair in asked.pairs():
        c, a = (states.subject(prompt).double() for prompt in (pair.concept, pair.anchor))
        safe = torch.cat([held, a[:, None]], 1)
        ways.append(safe @ torch.linalg.pinv(safe) @ c - c)
        parts.append(rest.T @ c)
    if len(parts) == 1:
        return torch.outer(weight.double() @ ways[0], rest @ parts[0]) / parts[0].square().sum()
    return weight.double() @ torch.stack(ways, 1) @ torch.linalg.pinv(torch.stack(parts, 1)) @ rest.T


@pytest.mark.parametrize("text", [LIST, "two words", "one -> thing"])
@pytest.mark.parametrize("preserve", [(), NAMES])
@pytest.mark.parametrize("case", CASES)
def test_the_edit_is_the_closed_form(case: str, preserve: tuple[str, ...], text: str) -> None:
    asked = request(text, CASES[case], preserve)
    for dtype, bound in ((torch.float64, 1e-8), (torch.float32, 2e-4)):
        edit = edit_of(asked, WEIGHTS, dtype)
        for name, weight in WEIGHTS.weights.items():
            assert error(edit.delta(name, weight), oracle(asked, weight)) < bound


@pytest.mark.parametrize("count", [3, 20])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_lies_in_the_span_of_the_preserved_names_does_not_move(dtype: torch.dtype, count: int) -> None:
    asked = request("\n".join(f"name {number} -> thing" for number in range(count)), CASES["all"])
    states, _ = encode_request(Encoder(WIDTH), asked)
    edit, mixed = edit_of(asked, WEIGHTS, dtype), sum(i * of(states, name) for i, name in enumerate(NAMES, -2))
    for name, weight in WEIGHTS.weights.items():
        change, scale = edit.delta(name, weight).double(), edit.report.change[name]
        for state in (mixed, *(of(states, name) for name in NAMES)):
            assert (change @ state).norm() < (1e-10 if dtype == torch.float64 else 1e-5) * state.norm() * (1 + scale)
            assert (change @ state).norm() < 1e-4 * (weight.double() @ state).norm()


def test_every_concept_answers_like_what_is_safe_in_it() -> None:
    asked = request(settings=CASES["all"])
    states, _ = encode_request(Encoder(WIDTH), asked)
    for name, weight in WEIGHTS.weights.items():
        edited = weight.double() + edit_of(asked, WEIGHTS).delta(name, weight)
        for pair in asked.pairs():
            c, a = (states.subject(prompt).double() for prompt in (pair.concept, pair.anchor))
            safe = torch.stack([*(of(states, name) for name in NAMES), a], 1)
            wanted = weight.double() @ safe @ torch.linalg.lstsq(safe, c[:, None]).solution[:, 0]
            assert (edited @ c - wanted).norm() < 1e-9 * (weight.double() @ c).norm() + 1e-9


def test_neither_order_nor_repeats_matter() -> None:
    lines = LIST.splitlines()
    name, weight = next(iter(WEIGHTS.weights.items()))
    first = edit_of(request(), WEIGHTS).delta(name, weight)
    for text, names in (("\n".join([*lines[::-1], lines[0].upper()]), NAMES), (LIST, NAMES[::-1])):
        assert error(edit_of(request(text, preserve=names), WEIGHTS).delta(name, weight), first) < 1e-9


def test_concepts_within_the_span_of_the_preserved_names_are_refused_by_name() -> None:
    many = tuple(f"name {number}" for number in range(2 * WIDTH))
    with pytest.raises(ScaPreError, match=r'preserve: all of "one" lies in the directions of the 96 preserved'):
        edit_of(request(settings=CASES["all"], preserve=many), WEIGHTS)
    asked = request("one", CASES["all"], (*NAMES, "thing"))
    states, _ = encode_request(Encoder(WIDTH), asked)
    states.states[states.first["one"] + states.last["one"]] = of(states, "fish").float() + of(states, "gold").float()
    with pytest.raises(ScaPreError, match=r'all of "one" lies in the directions of the 6 preserved'):
        solve_edit(states, WEIGHTS, asked)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_lists_longer_than_the_space_is_wide_and_concepts_that_are_one_stay_finite(dtype: torch.dtype) -> None:
    edit = edit_of(request("\n".join(f"name {number}" for number in range(3 * WIDTH))), WEIGHTS, dtype)
    assert all(value.isfinite().all() for value in edit.payload)
    asked = request("one\ntwo", preserve=())
    states, _ = encode_request(Encoder(WIDTH), asked)
    states.states[states.first["two"] + states.last["two"]] = states.subject(asked.pairs()[0].concept) * (1 + 1e-7)
    twins, alone = solve_edit(states, WEIGHTS, asked, dtype=dtype), edit_of(request("one", preserve=()), WEIGHTS, dtype)
    for name, weight in WEIGHTS.weights.items():
        assert error(twins.delta(name, weight), alone.delta(name, weight).double()) < 1e-5


def test_a_wide_list_in_half_precision_is_near_the_exact_one() -> None:
    text = "\n".join(f"name {number} -> thing" for number in range(20))
    exact, edit = (edit_of(request(text), WEIGHTS, dtype) for dtype in (torch.float64, torch.float32))
    assert set(edit.payload.shared) == {"matrix", "held"}
    for name, weight in WEIGHTS.weights.items():
        assert error(edit.delta(name, weight), exact.delta(name, weight)) < 1e-3


@pytest.mark.parametrize("count", [2, 20])
def test_it_is_saved_loaded_and_merged_like_any_edit(tmp_path: Path, count: int) -> None:
    lines = [f"name {number} -> thing" for number in range(count)]
    edit, path = edit_of(request("\n".join(lines)), WEIGHTS, torch.float32), tmp_path / "edit.safetensors"
    write_edit(edit, path)
    assert edit_files.same(edit, read_edit(path)) and read_edit(path).described == "method DP"
    one, two = (edit_of(request("\n".join(part)), WEIGHTS, torch.float32) for part in (lines[:1], lines[1:]))
    merged = merge_edits({"a": one, "b": two}, WEIGHTS)
    assert merged.same_as(edit)
    assert (merged.method, merged.settings) == ("dp", Settings())


def test_the_command_line_takes_the_method_its_presets_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("cat\n")
    line = ["erase", "m.safetensors", "--concepts", str(tmp_path / "list.txt"), "--out", "o.safetensors"]
    found = request_of(_parser().parse_args([*line, "--method", "dp", "--held-share", "0.9"]))
    assert (found.method, found.settings) == ("dp", Settings(held_share=0.9))
    with pytest.raises(ScaPreError, match=r"held_share: 2\.0 is outside 0\.5 to 1"):
        request_of(_parser().parse_args([*line, "--method", "dp", "--held-share", "2"]))
