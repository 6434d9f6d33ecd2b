"""OCE against its equations in float64, one matrix and state after another, and what a rotation promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pack.scapre.cli import _parser
from pack.scapre.cli.erase import request_of
from pack.scapre.encode import encode_request
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods.oce import CAPTIONS, Settings
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import Prompt
from pack.tests import edit_files
from pack.tests.worlds import WIDTH, Encoder, Projections, ask, edit_of, error

# Values with fewer rows than columns, with more, with as many, and one alone.
WEIGHTS = Projections(
    [(4, WIDTH), (40, WIDTH), (8, WIDTH), (70, WIDTH), (9, WIDTH), (WIDTH, WIDTH), (9, WIDTH), (1, WIDTH)]
)
VALUES = {name: weight for name, weight in WEIGHTS.weights.items() if WEIGHTS.roles[name] is Role.VALUE}
LIST = "one -> thing\ntwo words\nthree more words -> thing"
NAMES = ("fish", "a ship")
CASES = {
    "as released": Settings(),
    "hard": Settings(erase_scale=1000, ridge=0.1),
    "held": Settings(erase_scale=50, preserve_scale=100, general_scale=0),
    "nothing": Settings(erase_scale=0),
}


def request(text: str = LIST, settings: Settings | None = None, preserve: tuple[str, ...] = NAMES, **more):
    return ask(text, settings or Settings(), preserve=preserve, method="oce", **more)


def projector(vectors: list[torch.Tensor]) -> torch.Tensor:
    """Gram-Schmidt, one vector after another."""
    found = torch.zeros(len(vectors[0]), len(vectors[0]), dtype=torch.float64)
    for vector in vectors:
        rest = vector - found @ vector
        rest = rest - found @ rest
        if rest.norm() > 1e-6 * vector.norm():
            found = found + torch.outer(rest, rest) / rest.square().sum()
    return found


def oracle(asked, weight: torch.Tensor) -> torch.Tensor:
    """R W - W with X and its SVD as they stand in the paper, (n, n) whatever W's rank is."""
    states, _ = encode_request(Encoder(WIDTH), asked)
    o, w = asked.settings, weight.double()
    pairs = [tuple(states.subject(p).double() for p in (pair.concept, pair.anchor)) for pair in asked.pairs()]
    goes, comes = projector([w @ c for c, _ in pairs]), projector([w @ a for _, a in pairs])
    x = -o.erase_scale * goes @ (torch.eye(len(w), dtype=torch.float64) - comes) + o.ridge * w @ w.T
    x = x + o.general_scale * w @ states.moments["general"].double() @ w.T
    for name in asked.preserve:
        q = states.subject(Prompt(name, name)).double()
        x = x + o.preserve_scale * torch.outer(w @ q, w @ q)
    u, _, v = torch.linalg.svd(x)
    flip = torch.ones(len(w), dtype=torch.float64)
    flip[-1] = torch.linalg.det(u @ v).sign()
    return u @ torch.diag(flip) @ v @ w - w


@pytest.mark.parametrize("preserve", [(), NAMES])
@pytest.mark.parametrize("case", CASES)
def test_the_edit_is_the_closed_form(case: str, preserve: tuple[str, ...]) -> None:
    asked = request(settings=CASES[case], preserve=preserve)
    for dtype, bound in ((torch.float64, 1e-8), (torch.float32, 2e-4)):
        edit = edit_of(asked, WEIGHTS, dtype)
        assert list(edit.shapes) == list(VALUES)
        for name, weight in VALUES.items():
            truth, found = oracle(asked, weight), edit.delta(name, weight)
            assert (found - truth).norm() < bound * max(truth.norm(), 1e-2 * weight.norm())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_value_is_turned_and_keeps_its_length(case: str, dtype: torch.dtype) -> None:
    edit = edit_of(request(settings=CASES[case]), WEIGHTS, dtype)
    states, _ = encode_request(Encoder(WIDTH), request())
    bound = 1e-10 if dtype == torch.float64 else 1e-4
    for name, weight in VALUES.items():
        turn = edit.payload.matrices[name]["rotation"].double()
        one = torch.eye(len(weight), dtype=torch.float64)
        assert turn.shape == one.shape and (turn @ turn.T - one).norm() < bound
        assert abs(torch.linalg.det(turn) - 1) < bound
        before = weight.double() @ states.of("").double().T
        after = before + edit.delta(name, weight).double() @ states.of("").double().T
        assert torch.allclose(after.norm(dim=0), before.norm(dim=0), rtol=bound, atol=0)
        assert torch.allclose(after.T @ after, before.T @ before, rtol=0, atol=bound * before.square().sum())


def test_what_a_concept_has_beside_its_anchor_is_turned_around() -> None:
    asked = request("one -> thing", Settings(erase_scale=1e4), preserve=())
    states, _ = encode_request(Encoder(WIDTH), asked)
    c, a = (states.subject(Prompt(name, name)).double() for name in ("one", "thing"))
    edit, mild = edit_of(asked, WEIGHTS), edit_of(request("one -> thing", Settings(erase_scale=1e-3), ()), WEIGHTS)
    for name in list(VALUES)[:3]:
        weight = VALUES[name].double()
        value, anchor = weight @ c, weight @ a
        beside = value - anchor * (anchor @ value) / anchor.square().sum()
        after = beside + edit.delta(name, VALUES[name]) @ torch.linalg.lstsq(weight, beside[:, None]).solution[:, 0]
        assert after @ value < -0.9 * after.norm() * value.norm()
        assert mild.report.change[name] < 0.1 * edit.report.change[name]


def test_preserved_names_hold_more_the_more_they_weigh() -> None:
    drifts = [
        edit_of(request(settings=Settings(erase_scale=100, preserve_scale=p)), WEIGHTS).report.drift["fish"]
        for p in (0, 1, 1e4)
    ]
    assert drifts[0] > drifts[1] > drifts[2] and drifts[2] < 1e-2


def test_captions_are_read_from_the_start_to_the_end_token() -> None:
    encoder = Encoder(WIDTH)
    states, _ = encode_request(encoder, request())
    rows = [row for text in CAPTIONS for row in encoder.encode([text])[0, : len(text.split()) + 2].double()]
    wanted = sum(torch.outer(row, row) for row in rows) / len(rows)
    assert error(states.moments["general"], wanted) < 1e-6
    assert len(set(CAPTIONS)) == len(CAPTIONS) > 50 and all(text == text.lower().strip() for text in CAPTIONS)


def test_neither_order_nor_repeats_matter() -> None:
    lines = LIST.splitlines()
    settings = Settings(erase_scale=100)
    first = edit_of(request(settings=settings), WEIGHTS)
    for text, names in (("\n".join([*lines[::-1], lines[0].upper()]), NAMES), (LIST, NAMES[::-1])):
        other = edit_of(request(text, settings, names), WEIGHTS)
        for name, weight in VALUES.items():
            assert (other.delta(name, weight) - first.delta(name, weight)).norm() < 1e-9


def test_more_names_than_directions_and_names_that_are_one_stay_finite() -> None:
    many = tuple(f"name {number}" for number in range(2 * WIDTH))
    for text, preserve in (("\n".join(many), NAMES), (LIST, many)):
        edit = edit_of(request(text, Settings(erase_scale=100), preserve), WEIGHTS, torch.float32)
        assert all(value.isfinite().all() for value in edit.payload)
    asked = request("one\ntwo", Settings(erase_scale=100))
    states, _ = encode_request(Encoder(WIDTH), asked)
    states.states[states.first["two"] + states.last["two"]] = states.subject(asked.pairs()[0].concept) * (1 + 1e-7)
    twins, alone = solve_edit(states, WEIGHTS, asked), edit_of(request("one", Settings(erase_scale=100)), WEIGHTS)
    for name, weight in VALUES.items():
        assert (twins.delta(name, weight) - alone.delta(name, weight)).norm() < 1e-4


def test_it_is_saved_loaded_merged_and_taken_apart_like_any_edit(tmp_path: Path) -> None:
    edit, path = edit_of(request(), WEIGHTS, torch.float32), tmp_path / "edit.safetensors"
    write_edit(edit, path)
    assert edit_files.same(edit, read_edit(path)) and read_edit(path).described == "method OCE"
    lines = LIST.splitlines()
    one, two = (edit_of(request("\n".join(part)), WEIGHTS, torch.float32) for part in (lines[:1], lines[1:]))
    write_edit(one, tmp_path / "one.safetensors")
    merged = merge_edits({"a": read_edit(tmp_path / "one.safetensors"), "b": two}, WEIGHTS)
    assert merged.same_as(edit)
    assert merge_edits({"a": edit}, WEIGHTS, [edit.concepts[0].text]).same_as(two)


def test_the_command_line_takes_the_method_its_presets_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("cat\n")
    line = ["erase", "m.safetensors", "--concepts", str(tmp_path / "list.txt"), "--out", "o.safetensors"]
    found = request_of(_parser().parse_args([*line, "--method", "oce", "--general-scale", "2", "--preset", "people"]))
    assert (found.method, found.settings) == ("oce", Settings(general_scale=2))
