"""RECE against its equations in float64, one matrix, state and round after another, and what it promises."""

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
from pack.scapre.methods import METHODS, uce
from pack.scapre.methods.rece import Settings
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import Prompt
from pack.tests import edit_files
from pack.tests.worlds import SHAPES, WIDTH, Encoder, Projections, ask, edit_of, error

WEIGHTS = Projections(SHAPES)
LIST = "one -> thing\ntwo words\nthree more words -> thing"
NAMES = ("fish", "a ship")
CASES = {
    **{name: preset.settings for name, preset in METHODS["rece"].presets.items()},
    "hard": Settings(rounds=2, search_ridge=1e-2, erase_scale=3, ridge=0.1, round_ridge=1.0, round_preserve=5),
}


def request(text: str = LIST, settings: Settings | None = None, preserve: tuple[str, ...] = NAMES, **more):
    return ask(text, settings or Settings(), preserve=preserve, method="rece", **more)


def uce_step(weight, pairs, kept, ridge, erase, preserve) -> torch.Tensor:
    """W' = A B⁻¹ with one pair of states after another."""
    above, below = ridge * weight, ridge * torch.eye(weight.shape[1], dtype=torch.float64)
    for c, g in pairs:
        above = above + erase * torch.outer(weight @ g, c)
        below = below + erase * torch.outer(c, c)
    for q in kept:
        above = above + preserve * torch.outer(weight @ q, q)
        below = below + preserve * torch.outer(q, q)
    return above @ torch.linalg.inv(below)


def oracle(asked) -> dict[str, torch.Tensor]:
    """W' - W of every matrix, the matrices edited side by side as the rounds go on."""
    states, _ = encode_request(Encoder(WIDTH), asked)
    o = asked.settings
    last = [tuple(states.subject(p).double() for p in (pair.concept, pair.anchor)) for pair in asked.pairs()]
    kept = [states.subject(Prompt(name, name)).double() for name in asked.preserve]
    first = {name: weight.double() for name, weight in WEIGHTS.weights.items()}
    now = {
        name: uce_step(weight, last, kept, o.ridge, o.erase_scale, o.preserve_scale) for name, weight in first.items()
    }
    for _ in range(o.rounds):
        mat1 = o.search_ridge * torch.eye(WIDTH, dtype=torch.float64) + sum(w.T @ w for w in now.values())
        mat2 = sum(now[name].T @ first[name] for name in now)
        found = []
        for pair in asked.pairs():
            adversarial = states.of(pair.concept.text).double() @ (torch.linalg.inv(mat1) @ mat2).T
            found += zip(adversarial, states.of("").double(), strict=True)
        now = {
            name: uce_step(weight, found, kept, o.round_ridge, o.erase_scale, o.round_preserve)
            for name, weight in now.items()
        }
    return {name: now[name] - first[name] for name in now}


@pytest.mark.parametrize("preserve", [(), NAMES])
@pytest.mark.parametrize("case", CASES)
def test_the_edit_is_the_closed_form(case: str, preserve: tuple[str, ...]) -> None:
    asked = request(settings=CASES[case], preserve=preserve)
    truth = oracle(asked)
    # Without preserved names three rounds take the edit far, and what `inv` loses grows with it.
    # Three names have more states than the space has directions: in float32 B is kept whole, in half precision.
    for dtype, bound in ((torch.float64, 1e-8 if preserve else 1e-6), (torch.float32, 1e-3)):
        edit = edit_of(asked, WEIGHTS, dtype)
        assert set(edit.payload.shared) == ({"left", "basis"} if dtype == torch.float64 else {"matrix"})
        for name, weight in WEIGHTS.weights.items():
            assert error(edit.delta(name, weight), truth[name]) < bound


def test_every_state_of_a_concept_counts() -> None:
    states, _ = encode_request(Encoder(WIDTH), request())
    assert all(states.kept[pair.concept.text] == range(states.window) for pair in request().pairs())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_rounds_it_is_uce(dtype: torch.dtype) -> None:
    one = edit_of(request(settings=Settings(rounds=0, ridge=0.7, preserve_scale=2)), WEIGHTS, dtype)
    other = edit_of(ask(LIST, uce.Settings(ridge=0.7, preserve_scale=2), preserve=NAMES, method="uce"), WEIGHTS, dtype)
    assert one.payload.same_as(other.payload)


def test_a_round_leaves_less_of_what_calls_a_concept_up() -> None:
    """After each round the states found against it answer the original concept less well than before."""
    states, _ = encode_request(Encoder(WIDTH), request("one"))
    c = states.of("one").double()
    losses = []
    for rounds in (0, 1, 3):
        edit = edit_of(request("one", Settings(rounds=rounds, search_ridge=1e-3), ()), WEIGHTS)
        first = torch.cat([weight.double() for weight in WEIGHTS.weights.values()])
        now = first + torch.cat([edit.delta(name, weight) for name, weight in WEIGHTS.weights.items()])
        found = torch.linalg.solve(now.T @ now + 1e-3 * torch.eye(WIDTH, dtype=torch.float64), now.T @ first @ c.T)
        losses.append((now @ found - first @ c.T).square().sum().item() + 1e-3 * found.square().sum().item())
    assert losses[0] < losses[1] < losses[2]


def test_one_name_of_a_wide_encoder_is_thin_and_exact() -> None:
    width = 4 * 90
    weights = Projections([(40, width), (24, width)])
    asked = request("one", Settings(rounds=1), ())
    exact, edit = (edit_of(asked, weights, dtype, width) for dtype in (torch.float64, torch.float32))
    assert set(edit.payload.shared) == {"left", "basis"} and edit.payload.shared["left"].shape[1] <= 79
    for name, weight in weights.weights.items():
        assert error(edit.delta(name, weight), exact.delta(name, weight)) < 2e-4


def test_neither_order_nor_repeats_matter() -> None:
    lines = LIST.splitlines()
    name, weight = next(iter(WEIGHTS.weights.items()))
    first = edit_of(request(), WEIGHTS).delta(name, weight)
    for text, names in (("\n".join([*lines[::-1], lines[0].upper()]), NAMES), (LIST, NAMES[::-1])):
        assert error(edit_of(request(text, preserve=names), WEIGHTS).delta(name, weight), first) < 1e-8


def test_names_that_reach_every_direction_leave_a_finite_edit() -> None:
    many = tuple(f"name {number}" for number in range(2 * WIDTH))
    drifts = [edit_of(request(preserve=many, settings=s), WEIGHTS).report for s in (Settings(), Settings(rounds=0))]
    assert all(value < float("inf") for report in drifts for value in report.change.values())


def test_a_wrong_encoder_is_refused_in_the_words_of_every_method() -> None:
    states, _ = encode_request(Encoder(WIDTH // 2), request())
    with pytest.raises(ScaPreError, match="clip: the text encoder gives states of width 24"):
        solve_edit(states, WEIGHTS, request())


def test_broken_weights_are_refused_in_the_words_of_every_method() -> None:
    broken = Projections(SHAPES)
    broken.weights["block.1.weight"][0, 0] = float("nan")
    with pytest.raises(ScaPreError, match=r"model: block\.1\.weight contains NaN"):
        edit_of(request(), broken)


def test_it_is_saved_loaded_and_merged_like_any_edit(tmp_path: Path) -> None:
    edit, path = edit_of(request(), WEIGHTS, torch.float32), tmp_path / "edit.safetensors"
    write_edit(edit, path)
    assert edit_files.same(edit, read_edit(path)) and read_edit(path).described == "method RECE"
    one, two = (edit_of(request(line), WEIGHTS, torch.float32) for line in ("one -> thing", "two words"))
    merged = merge_edits({"a": one, "b": two}, WEIGHTS)
    assert merged.same_as(edit_of(request("one -> thing\ntwo words"), WEIGHTS, torch.float32))
    assert (merged.method, merged.settings) == ("rece", Settings())


def test_the_command_line_takes_the_method_its_presets_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("cat\n")
    line = ["erase", "m.safetensors", "--concepts", str(tmp_path / "list.txt"), "--out", "o.safetensors"]
    found = request_of(_parser().parse_args([*line, "--method", "rece", "--rounds", "2", "--ridge", "0.7"]))
    assert (found.method, found.settings) == ("rece", Settings(rounds=2, ridge=0.7))
    found = request_of(_parser().parse_args([*line, "--method", "rece", "--preset", "styles"]))
    assert found.settings == Settings(rounds=1, search_ridge=1e-3)
