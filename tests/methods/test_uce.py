"""UCE against its objective in float64, and the properties that the mathematics promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pack.scapre.cli import _parser
from pack.scapre.cli.erase import request_of
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.export.factors import Rank, factorise
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods import METHODS
from pack.scapre.methods.uce import Settings
from pack.scapre.report.data import report_data
from pack.scapre.states.prompts import Prompt
from pack.tests import edit_files
from pack.tests.worlds import SHAPES, WIDTH, Encoder, Projections, ask, edit_of, error

WEIGHTS = Projections(SHAPES)
LIST = "one -> thing\ntwo words\nthree more words -> thing"
CASES = {
    "as released": Settings(),
    "hard": Settings(ridge=1e-3, erase_scale=5),
    "held": Settings(ridge=2.0, preserve_scale=100),
    "nothing": Settings(erase_scale=0),
}


def request(text: str = LIST, settings: Settings | None = None, preserve: tuple[str, ...] = ("fish", "a ship"), **more):
    return ask(text, settings or Settings(), preserve=preserve, method="uce", **more)


def oracle(asked, weight: torch.Tensor) -> torch.Tensor:
    """W' - W as the equation has it: A B⁻¹ - W with one pair after another, in float64."""
    states, _ = encode_request(Encoder(weight.shape[1]), asked)
    o, weight = asked.settings, weight.double()
    above = o.ridge * weight
    below = o.ridge * torch.eye(weight.shape[1], dtype=torch.float64)
    for pair in asked.pairs():
        c, g = (states.subject(prompt).double() for prompt in (pair.concept, pair.anchor))
        above = above + o.erase_scale * torch.outer(weight @ g, c)
        below = below + o.erase_scale * torch.outer(c, c)
    for name in asked.preserve:
        q = states.subject(Prompt(name, name)).double()
        above = above + o.preserve_scale * torch.outer(weight @ q, q)
        below = below + o.preserve_scale * torch.outer(q, q)
    return above @ torch.linalg.inv(below) - weight


@pytest.mark.parametrize("preserve", [(), ("fish", "a ship")])
@pytest.mark.parametrize("case", CASES)
def test_the_edit_is_the_closed_form(case: str, preserve: tuple[str, ...]) -> None:
    asked = request(settings=CASES[case], preserve=preserve)
    for dtype, bound in ((torch.float64, 1e-8), (torch.float32, 2e-4)):
        edit = edit_of(asked, WEIGHTS, dtype)
        for name, weight in WEIGHTS.weights.items():
            truth = oracle(asked, weight)
            if CASES[case].erase_scale:
                assert error(edit.delta(name, weight), truth) < bound
            else:
                assert torch.equal(edit.delta(name, weight), torch.zeros_like(truth).to(dtype))


def test_the_gradient_of_the_objective_vanishes_at_the_solution() -> None:
    asked = request(settings=Settings(ridge=0.7, erase_scale=1.3, preserve_scale=2.0))
    states, _ = encode_request(Encoder(WIDTH), asked)
    name, weight = next(iter(WEIGHTS.weights.items()))
    weight = weight.double()
    edited = (weight + edit_of(asked, WEIGHTS).delta(name, weight)).requires_grad_()
    loss = 0.7 * (edited - weight).square().sum()
    for pair in asked.pairs():
        c, g = (states.subject(prompt).double() for prompt in (pair.concept, pair.anchor))
        loss = loss + 1.3 * (edited @ c - weight @ g).square().sum()
    for text in asked.preserve:
        loss = loss + 2.0 * ((edited - weight) @ states.subject(Prompt(text, text)).double()).square().sum()
    (gradient,) = torch.autograd.grad(loss, edited)
    assert gradient.norm() < 1e-9 * loss.detach()


def test_preserved_names_hold_more_the_more_they_weigh() -> None:
    drifts = [edit_of(request(settings=Settings(preserve_scale=p)), WEIGHTS).report.drift["fish"] for p in (0, 1, 1e4)]
    assert drifts[0] > drifts[1] > drifts[2] and drifts[2] < 1e-3
    edit = edit_of(request(), WEIGHTS)
    assert not any("do not yet change" in note for note in edit.report.notes)
    assert {row["role"] for row in report_data(edit, "Title")["drift"]} == {"empty", "anchor", "stays"}


def test_neither_order_nor_repeats_matter() -> None:
    lines = LIST.splitlines()
    first, second = (edit_of(request("\n".join(order)), WEIGHTS) for order in (lines, [*lines[::-1], lines[0].upper()]))
    upper = edit_of(request("\n".join([*lines, lines[0].upper()])), WEIGHTS)
    name, weight = next(iter(WEIGHTS.weights.items()))
    assert error(upper.delta(name, weight), first.delta(name, weight)) == 0
    assert second.concepts != first.concepts


@pytest.mark.parametrize("count", [1, 10, WIDTH, 3 * WIDTH])
def test_the_edit_is_as_thin_as_the_list_and_never_larger_than_a_matrix_in_half_precision(count: int) -> None:
    asked = request("\n".join(f"name {number}" for number in range(count)))
    edit = edit_of(asked, WEIGHTS, torch.float32)
    rank = min(count, WIDTH)
    thin = {"left": (WIDTH, rank), "basis": (WIDTH, rank)}
    expected = thin if rank <= WIDTH // 4 else {"matrix": (WIDTH, WIDTH)}
    assert {key: tuple(value.shape) for key, value in edit.payload.shared.items()} == expected
    assert sum(value.nbytes for value in edit.payload) <= 2 * WIDTH**2
    name, weight = next(iter(WEIGHTS.weights.items()))
    assert error(edit.delta(name, weight), oracle(asked, weight)) < 1e-3
    up, down = factorise(edit.change(name, weight), Rank(1000))
    assert len(down) <= rank and torch.allclose((up @ down).float(), edit.delta(name, weight), atol=1e-5)
    assert all(value.isfinite().all() for value in edit.payload)


def test_it_is_saved_loaded_and_merged_like_any_edit(tmp_path: Path) -> None:
    edit, path = edit_of(request(), WEIGHTS, torch.float32), tmp_path / "edit.safetensors"
    write_edit(edit, path)
    assert edit_files.same(edit, read_edit(path)) and read_edit(path).described == "method UCE"
    one, two = (edit_of(request(line), WEIGHTS, torch.float32) for line in ("one -> thing", "two words"))
    merged = merge_edits({"a": one, "b": two}, WEIGHTS)
    assert merged.same_as(edit_of(request("one -> thing\ntwo words"), WEIGHTS, torch.float32))
    assert (merged.method, merged.settings) == ("uce", Settings())


def test_it_edits_keys_and_values_of_a_model() -> None:
    assert METHODS["uce"].roles == {Role.KEY, Role.VALUE, Role.INPUT}
    assert list(edit_of(request(), WEIGHTS).shapes) == list(WEIGHTS.weights)


def test_the_command_line_takes_the_method_its_presets_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("cat\n")
    line = ["erase", "m.safetensors", "--concepts", str(tmp_path / "list.txt"), "--out", "o.safetensors"]

    def asked(*more: str):
        return request_of(_parser().parse_args([*line, *more]))

    found = asked("--method", "uce", "--preserve-scale", "3", "--ridge", "0.1")
    assert (found.method, found.settings) == ("uce", Settings(ridge=0.1, preserve_scale=3))
    assert asked("--method", "uce", "--preset", "styles").settings == Settings()
    assert (asked().method, asked().settings) == ("auto", METHODS["auto"].settings())
    few = asked("--preset", "objects-few")  # a preset alone names its method
    assert (few.method, few.settings) == ("scapre", METHODS["scapre"].presets["objects-few"].settings)
    with pytest.raises(ScaPreError, match=r'preset: "objects-few" is unknown\. Choose one of objects, styles'):
        asked("--method", "uce", "--preset", "objects-few")
    with pytest.raises(ScaPreError, match='settings: "bins" is not a setting of UCE'):
        asked("--method", "uce", "--bins", "3")
