"""SPEED against its equations in float64, one state and one matrix after another, and what it promises to hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pack.scapre.cli import _parser
from pack.scapre.cli.erase import request_of
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods import METHODS
from pack.scapre.methods.centres import centres
from pack.scapre.methods.speed import Settings
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import Prompt
from pack.tests import edit_files
from pack.tests.worlds import WIDTH, Encoder, Projections, ask, edit_of, error

WEIGHTS = Projections([(4, WIDTH), (40, WIDTH), (8, WIDTH), (30, WIDTH)])
VALUES = {name: weight for name, weight in WEIGHTS.weights.items() if WEIGHTS.roles[name] is Role.VALUE}
LIST = "one -> thing\ntwo words\nthree more words -> thing"
NAMES = ("fish", "a ship", "gold", "tree", "old house")
CASES = {
    "few": METHODS["speed"].presets["few"].settings,
    "many": METHODS["speed"].presets["many"].settings,
    "nudity": METHODS["speed"].presets["nudity"].settings,
    "no variations": Settings(augment=0),
    "wide null space": Settings(null_threshold=30, ridge=0.1),
}


def request(text: str = LIST, settings: Settings | None = None, preserve: tuple[str, ...] = NAMES, **more):
    return ask(text, settings or Settings(), preserve=preserve, method="speed", **more)


def clusters(rows: list[torch.Tensor], count: int) -> list[torch.Tensor]:
    """Lloyd's k-means from the farthest rows."""
    found = [rows[0]]
    while len(found) < count:
        found.append(max(rows, key=lambda row: min((row - centre).norm() for centre in found)))
    for _ in range(100):
        groups: list[list[torch.Tensor]] = [[] for _ in found]
        for row in rows:
            distances = [(row - centre).norm() for centre in found]
            groups[distances.index(min(distances))].append(row)
        found = [sum(group) / len(group) for group in groups]
    return found


def retained(asked, states, edit: torch.Tensor) -> list[torch.Tensor]:
    """The states held: names, and r + ε v, as far as the edit that holds nothing moves them more than the mean."""
    o = asked.settings
    line = torch.linalg.svd(torch.cat([weight.double() for weight in VALUES.values()]))[2][-1]
    line = line * line[line.abs().argmax()].sign()
    noise = torch.randn(
        len(asked.preserve), o.augment, dtype=torch.float64, generator=torch.Generator().manual_seed(asked.seed)
    )
    found = [
        (states.subject(Prompt(name, name)).double(), row)
        for name, row in zip(sorted(asked.preserve), noise, strict=True)
    ]

    def strong(items, state=lambda item: item):
        norms = [(edit @ state(item)).norm() for item in items]
        mean = sum(norms) / max(1, len(norms))
        return [item for item, norm in zip(items, norms, strict=True) if norm > mean or not o.influence_filter]

    found = strong(found, lambda item: item[0])
    return [state for state, _ in found] + strong([state + e * line for state, row in found for e in row])


def oracle(asked, weight: torch.Tensor) -> torch.Tensor:
    """ΔW = W (A - T) P [I - M K (Kᵀ P M K + λ I)⁻¹ Kᵀ P] M with M = (T P + ρ I)⁻¹."""
    states, _ = encode_request(Encoder(WIDTH), asked)
    o, one = asked.settings, torch.eye(WIDTH, dtype=torch.float64)
    targets, anchors = torch.zeros_like(one), torch.zeros_like(one)
    for pair in asked.pairs():
        t, a = (states.subject(prompt).double() for prompt in (pair.concept, pair.anchor))
        targets += torch.outer(t, t) / len(asked.pairs())
        anchors += torch.outer(a, t) / len(asked.pairs())
    way = anchors - targets
    free = one
    if asked.preserve:
        every = torch.cat([value.double() for value in VALUES.values()])
        held = retained(asked, states, every @ way @ torch.linalg.inv(one + targets))
        values, vectors = torch.linalg.eigh(sum(torch.outer(r, r) for r in held) / len(held))
        free = sum(torch.outer(u, u) for value, u in zip(values, vectors.T, strict=True) if value < o.null_threshold)
    null = states.of("").double()
    still = torch.stack([null[0], *clusters(list(null[1:]), 3)], 1)
    m = torch.linalg.inv(targets @ free + o.ridge * one)
    inner = torch.linalg.inv(still.T @ free @ m @ still + o.invariant_ridge * torch.eye(4, dtype=torch.float64))
    return weight.double() @ way @ free @ (one - m @ still @ inner @ still.T @ free) @ m


@pytest.mark.parametrize("preserve", [(), NAMES])
@pytest.mark.parametrize("case", CASES)
def test_the_edit_is_the_closed_form(case: str, preserve: tuple[str, ...]) -> None:
    asked = request(settings=CASES[case], preserve=preserve)
    for dtype, bound in ((torch.float64, 1e-8), (torch.float32, 2e-4)):
        edit = edit_of(asked, WEIGHTS, dtype)
        assert list(edit.shapes) == list(VALUES)
        for name, weight in VALUES.items():
            assert error(edit.delta(name, weight), oracle(asked, weight)) < bound


@pytest.mark.parametrize("count", [3, WIDTH])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_start_token_the_empty_prompts_centres_and_the_names_that_are_held_do_not_move(
    dtype: torch.dtype, count: int
) -> None:
    text = "\n".join(f"name {number} -> thing" for number in range(count))
    asked = request(text, Settings(ridge=0.05, null_threshold=1e-6, augment=0, influence_filter=False))
    edit, bound = edit_of(asked, WEIGHTS, dtype), 1e-10 if dtype == torch.float64 else 1e-5
    states, _ = encode_request(Encoder(WIDTH), asked)
    null = states.of("").double()
    still = [null[0], *centres(null[1:], 3)] + [states.subject(Prompt(name, name)).double() for name in NAMES]
    for name, weight in VALUES.items():
        change = edit.delta(name, weight).double()
        concept = states.subject(asked.pairs()[0].concept).double()
        assert (change @ concept).norm() > 0.1 * (weight.double() @ concept).norm()
        assert max((change @ state).norm() for state in still) < bound * (change.norm() * 28)
    free = edit_of(request(text, Settings(invariant_ridge=1e3)), WEIGHTS).delta(name, weight)
    assert (free @ null[0]).norm() > 1e-6


def test_concepts_go_to_their_anchors_where_nothing_is_in_the_way() -> None:
    asked = request(LIST, Settings(ridge=1e-6, null_threshold=1e-6, influence_filter=False), preserve=())
    states, _ = encode_request(Encoder(WIDTH), asked)
    edit = edit_of(asked, WEIGHTS)
    for name, weight in VALUES.items():
        edited = weight.double() + edit.delta(name, weight)
        for pair in asked.pairs():
            t, a = (states.subject(prompt).double() for prompt in (pair.concept, pair.anchor))
            assert (edited @ t - weight.double() @ a).norm() < 1e-4 * (weight.double() @ (t - a)).norm()


@pytest.mark.parametrize("case", ["few", "wide null space"])
def test_neither_order_nor_repeats_matter(case: str) -> None:
    lines = LIST.splitlines()
    name, weight = next(iter(VALUES.items()))
    first = edit_of(request(settings=CASES[case]), WEIGHTS).delta(name, weight)
    for text, names in (
        ("\n".join(lines[::-1]), NAMES),
        ("\n".join([*lines, lines[0].upper()]), NAMES),
        (LIST, NAMES[::-1]),
    ):
        other = edit_of(request(text, CASES[case], names), WEIGHTS).delta(name, weight)
        assert error(other, first) < 1e-9


def test_variations_are_drawn_with_the_seed() -> None:
    asked = [request(settings=CASES["wide null space"], seed=seed) for seed in (3, 3, 4)]
    one, again, other = (edit_of(each, WEIGHTS) for each in asked)
    assert one.payload.same_as(again.payload) and not one.payload.same_as(other.payload)


def test_names_that_reach_every_direction_are_refused_and_nearly_all_of_them_are_not() -> None:
    many = tuple(f"name {number}" for number in range(2 * WIDTH))
    settings = Settings(influence_filter=False)
    with pytest.raises(ScaPreError, match=r"preserve: these 96 names and the empty prompt together reach"):
        edit_of(request(settings=settings, preserve=many), WEIGHTS)
    with pytest.raises(ScaPreError, match=r"preserve: these 46 names and the empty prompt together reach"):
        edit_of(request(settings=settings, preserve=many[: WIDTH - 2]), WEIGHTS)
    for count in (WIDTH - 12, WIDTH - 6):
        for dtype in (torch.float32, torch.float64):
            edit = edit_of(request(settings=settings, preserve=many[:count]), WEIGHTS, dtype)
            assert all(value.isfinite().all() for value in edit.payload)


def test_a_preserved_name_alone_and_one_that_is_an_anchor_are_held() -> None:
    for names in (("thing",), ("fish",)):
        edit = edit_of(request(preserve=names, settings=Settings(null_threshold=1e-6, augment=3)), WEIGHTS)
        assert edit.report.drift[names[0]] < 1e-9


def test_centres_are_never_more_than_there_are_states() -> None:
    rows = torch.tensor([[0.0, 1], [0, 1], [9, 0]], dtype=torch.float64)
    assert centres(rows, 3).tolist() == [[0, 1], [9, 0]]
    assert centres(rows[:1], 3).tolist() == [[0, 1]] and len(centres(rows[:0], 3)) == 0


def test_a_wrong_encoder_is_refused_in_the_words_of_every_method() -> None:
    asked = request()
    states, _ = encode_request(Encoder(WIDTH // 2), asked)
    with pytest.raises(ScaPreError, match="clip: the text encoder gives states of width 24"):
        solve_edit(states, WEIGHTS, asked)


@pytest.mark.parametrize("count", [2, WIDTH])
def test_it_is_saved_loaded_and_merged_like_any_edit(tmp_path: Path, count: int) -> None:
    lines = [f"name {number} -> thing" for number in range(count)]
    edit, path = edit_of(request("\n".join(lines)), WEIGHTS, torch.float32), tmp_path / "edit.safetensors"
    write_edit(edit, path)
    assert edit_files.same(edit, read_edit(path)) and read_edit(path).described == "method SPEED"
    one, two = (edit_of(request("\n".join(part)), WEIGHTS, torch.float32) for part in (lines[:1], lines[1:]))
    merged = merge_edits({"a": one, "b": two}, WEIGHTS)
    assert merged.same_as(edit)
    assert (merged.method, merged.settings) == ("speed", Settings())


def test_the_command_line_takes_the_method_its_presets_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("cat\n")
    line = ["erase", "m.safetensors", "--concepts", str(tmp_path / "list.txt"), "--out", "o.safetensors"]
    found = request_of(
        _parser().parse_args([*line, "--method", "speed", "--augment", "3", "--influence-filter", "off"])
    )
    assert (found.method, found.settings) == ("speed", Settings(augment=3, influence_filter=False))
    found = request_of(_parser().parse_args([*line, "--method", "speed", "--preset", "many"]))
    assert found.settings == Settings(ridge=0.05, null_threshold=1e-4, influence_filter=False)
