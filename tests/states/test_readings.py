"""Models that read every prompt twice: two encoders as one, and every method on what both say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pack.scapre.cli.inspect import describe
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.edits.hide import hide_names
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.merge import merge_edits
from pack.scapre.methods import METHODS, closed_forms
from pack.scapre.methods.auto.moments import Moments
from pack.scapre.progress import silent
from pack.scapre.report.data import report_data
from pack.scapre.report.markdown import render
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.scapre.states.prompts import NULL, expand, renamed
from pack.scapre.states.readings import SECOND, TwoReadings, names_read, once, plain, readings, twice
from pack.tests.worlds import SHAPES, WIDTH, WINDOW, Encoder, Projections

NAMES = "cat\nred house -> thing"


class Other(Encoder):
    """Another encoder of the same width, which cuts every word in two."""

    def tokens(self, text: str) -> list[int]:
        return [number for token in super().tokens(text) for number in (token, token + 50_000)]

    def _states(self, text: str) -> torch.Tensor:
        return super()._states(f"other {text}").flip(-1)


def both(**more: torch.Tensor) -> TwoReadings:
    return TwoReadings(Encoder(WIDTH), Other(WIDTH), **more)


def solve(
    method: str = "uce",
    names: str = NAMES,
    encoder: Encoder | TwoReadings | None = None,
    dtype: torch.dtype = torch.float32,
) -> Edit:
    request = Request(parse_concepts(names), ("tulip",), METHODS[method].settings(), method=method)
    states, _ = encode_request(encoder or both(), request)
    return solve_edit(states, Projections(SHAPES), request, dtype=dtype)


def test_wordings_are_doubled_once() -> None:
    assert twice(["{concept}", "a {concept}"]) == (
        "{concept}",
        "a {concept}",
        SECOND + "{concept}",
        SECOND + "a {concept}",
    )
    assert twice(twice(["{concept}"])) == twice(["{concept}"])
    assert once(twice(["{concept}"])) == ("{concept}",)
    assert names_read(["a", "b"], twice(["{concept}"])) == ("a", "b", SECOND + "a", SECOND + "b")
    assert names_read(["a"], ["{concept}"]) == ("a",)
    assert plain(SECOND + "cat") == plain("cat") == "cat"


def test_each_text_is_read_by_its_encoder() -> None:
    encoder, first, second = both(), Encoder(WIDTH), Other(WIDTH)
    texts = [SECOND + "cat", "a dog", "cat", SECOND]
    found = encoder.encode(texts, silent)
    wanted = torch.cat([second.encode(["cat"]), first.encode(["a dog", "cat"]), second.encode([""])])
    assert torch.equal(found, wanted)
    assert torch.equal(encoder.encode_prefixes(texts, 5), wanted[:, :5])
    assert encoder.tokens("red house") == first.tokens("red house")
    assert encoder.tokens(SECOND + "red house") == second.tokens("red house")
    assert readings(encoder) == (encoder.first, encoder.second) and readings(first) == (first,)


def test_the_second_empty_prompt_and_the_model_s_own_rows_are_the_frame() -> None:
    rows = torch.randn(3, WIDTH)
    assert torch.equal(both(also=rows).frame(), torch.cat([Other(WIDTH).encode([""])[0], rows]))


def test_encoders_of_different_widths_are_refused() -> None:
    with pytest.raises(ScaPreError, match=r"^clip: its encoders give states of .*48.* and .*24"):
        TwoReadings(Encoder(WIDTH), Encoder(24)).encode(["cat", SECOND + "cat"], silent)


def test_uce_is_its_equation_on_the_last_tokens_of_both() -> None:
    first, second, edit = Encoder(WIDTH), Other(WIDTH), solve(dtype=torch.float64)

    def last(text: str) -> torch.Tensor:
        rows = [encoder.encode([text])[0, len(encoder.tokens(text))] for encoder in (first, second)]
        return torch.stack(rows).double()

    concepts, anchors, held = (torch.cat([last(text) for text in some]) for some in (
        ("cat", "red house"), ("", "thing"), ("tulip",),
    ))  # fmt: skip
    one = torch.eye(WIDTH, dtype=torch.float64)
    for name, weight in Projections(SHAPES).weights.items():
        weight = weight.double()
        left = weight @ anchors.T @ concepts + weight @ held.T @ held + weight / 2
        wanted = left @ torch.linalg.inv(concepts.T @ concepts + held.T @ held + one / 2)
        assert (weight + edit.delta(name, weight) - wanted).abs().max() < 1e-9


def test_auto_s_moments_are_the_sums_of_both() -> None:
    whole, *parts = (Moments.of(solve("auto", "cat", e).states.moments) for e in (both(), Encoder(WIDTH), Other(WIDTH)))
    for key in ("erased", "way", "kept", "apart", "common", "square"):
        wanted = sum(torch.as_tensor(getattr(part, key)) for part in parts)
        assert (torch.as_tensor(getattr(whole, key)) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert (whole.concepts, whole.texts) == (1, parts[0].texts)
    assert torch.equal(whole.kin, torch.cat([part.kin for part in parts]))


@pytest.mark.parametrize("method", closed_forms())
def test_every_method_turns_what_either_encoder_says(method: str) -> None:
    encoders = (Encoder(WIDTH), Other(WIDTH))

    def turned(edit: Edit, encoder: Encoder) -> float:
        state = encoder.encode(["cat"])[0, len(encoder.tokens("cat"))].double()
        name = next(name for name in edit.shapes if edit.shapes[name][0] > 1)
        weight = Projections(SHAPES).weights[name].double()
        before = weight @ state
        return abs(float((edit.delta(name, weight) @ state) @ before / before.square().sum()))

    edit, *alone = (solve(method, encoder=one, dtype=torch.float64) for one in (None, *encoders))
    for own, encoder in zip(alone, encoders, strict=True):
        assert turned(edit, encoder) > 0.3 * turned(own, encoder) > 0


@pytest.mark.parametrize("method", closed_forms())
def test_figures_are_told_by_the_names_as_they_were_written(method: str) -> None:
    edit = solve(method)
    assert set(edit.report.kept) == {"cat", "red house"} and set(edit.report.drift) == {NULL, "thing", "tulip"}
    data = report_data(edit, "Title")
    shown = render(data) + str(describe(edit)) + str(data)
    assert SECOND not in shown and "\\x1f" not in shown


def test_figures_are_of_both_encoders_together() -> None:
    edit, weights = solve(dtype=torch.float64), Projections(SHAPES)
    left = right = 0.0
    for encoder in (Encoder(WIDTH), Other(WIDTH)):
        name, anchor = (
            encoder.encode([text])[0, len(encoder.tokens(text))].double() for text in ("red house", "thing")
        )
        for key, weight in weights.weights.items():
            weight = weight.double()
            left += float((weight @ (name - anchor) + edit.delta(key, weight) @ name).square().sum())
            right += float((weight @ (name - anchor)).square().sum())
    assert edit.report.remaining["red house"] == pytest.approx((left / right) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("method", ["auto", "scapre", "uce", "rece"])
def test_edits_are_saved_hidden_and_merged(method: str, tmp_path: Path) -> None:
    edit, weights = solve(method), Projections(SHAPES)
    write_edit(edit, tmp_path / "edit.safetensors")
    loaded = read_edit(tmp_path / "edit.safetensors")
    assert loaded.same_as(edit)
    hidden = hide_names(edit)
    write_edit(hidden, tmp_path / "hidden.safetensors")
    there = read_edit(tmp_path / "hidden.safetensors")
    assert (
        there.same_as(hidden)
        and "cat" not in str(there.states.kept)
        and there.report.kept.keys() != edit.report.kept.keys()
    )
    other = solve(method, "dog")
    merged = merge_edits({"one": loaded, "two": other}, weights, encoder=both())
    wanted = solve(method, f"{NAMES}\ndog")
    name = next(iter(edit.shapes))
    weight = weights.weights[name]
    assert (merged.delta(name, weight) - wanted.delta(name, weight)).norm() <= 1e-4 * wanted.delta(name, weight).norm()
    back = merge_edits({"one": merged}, weights, ["dog"], encoder=both())
    assert (back.delta(name, weight) - edit.delta(name, weight)).norm() <= 1e-4 * edit.delta(name, weight).norm()
    assert set(merged.templates) == set(twice(once(merged.templates)))


def test_the_order_of_lists_does_not_matter() -> None:
    one, other = solve(), solve(names="red house -> thing\ncat")
    name, weight = next(iter(Projections(SHAPES).weights.items()))
    assert (one.delta(name, weight) - other.delta(name, weight)).abs().max() < 1e-6


def test_prompts_are_renamed_with_their_marks() -> None:
    concepts = parse_concepts(NAMES).concepts
    names = {"cat": "one", "red house": "two", "thing": "three", NULL: NULL, "tulip": "four"}
    pairs = renamed(concepts, ["tulip"], twice(["{concept}"]), names)
    assert [(new.text, old.text) for new, old in pairs[:2]] == [(NULL, NULL), (SECOND, SECOND)]
    assert (SECOND + "four", SECOND + "tulip") in [(new.text, old.text) for new, old in pairs]
    texts = {pair.concept.text for pair in expand(concepts, twice(["{concept}"]))}
    assert texts == {"cat", "red house", SECOND + "cat", SECOND + "red house"}


def test_a_frame_that_is_an_anchor_is_kept_whole() -> None:
    """The empty prompt is an anchor here, and methods that read windows must not cut the frame off it."""
    for method in ("scapre", "rece", "uce"):
        states = solve(method, "cat").states
        assert states.frame == WINDOW and len(states.rows(NULL, states.kept[NULL])) == 2 * WINDOW
        assert torch.equal(states.empty(SECOND + "x"), Other(WIDTH).encode([""])[0])


@pytest.mark.parametrize("method", ["auto", "scapre", "uce", "speed"])
def test_typed_anchors_alone_are_read_twice_too(method: str, tmp_path: Path) -> None:
    """Then no empty prompt of the second encoder is an anchor, by which two readings could be told."""
    edit = solve(method, "cat -> dog\nred house -> thing")
    assert edit.templates == twice(once(edit.templates)) and edit.states.twice
    write_edit(edit, tmp_path / "edit.safetensors")
    assert read_edit(tmp_path / "edit.safetensors").same_as(edit)
    merged = merge_edits({"one": edit, "two": solve(method, "bird")}, Projections(SHAPES), encoder=both())
    assert set(merged.report.kept) == {"cat", "red house", "bird"}
    alone = solve(method, "cat -> dog\nred house -> thing", Encoder(WIDTH))
    name, weight = next((name, weight) for name, weight in Projections(SHAPES).weights.items() if name in edit.shapes)
    assert (edit.delta(name, weight) - alone.delta(name, weight)).norm() > 0.01 * alone.delta(name, weight).norm()


class Pooling(Encoder):
    """An encoder with vectors."""

    def pooled(self, texts: list[str]) -> torch.Tensor:
        return self.encode(texts)[:, -1]


class WithVector(Projections):
    """Matrices of which the last one reads a vector."""

    def __init__(self) -> None:
        super().__init__(SHAPES)
        self.roles[list(self.weights)[-1]] = Role.POOLED


@pytest.mark.parametrize("names", ["cat\nred house -> thing", "cat -> dog"])
def test_edits_with_a_vector_beside_are_saved_and_merged(names: str, tmp_path: Path) -> None:
    def made(names: str) -> Edit:
        request = Request(
            parse_concepts(names), ("tulip",), METHODS["uce"].settings(), method="uce", further=("pooled",)
        )
        states, _ = encode_request(TwoReadings(Pooling(WIDTH), Other(WIDTH)), request)
        return solve_edit(states, WithVector(), request)

    edit = made(names)
    assert edit.pooled is not None and edit.pooled.templates == once(edit.templates)
    for number, kept in enumerate((edit, hide_names(edit))):
        write_edit(kept, tmp_path / f"{number}.safetensors")
        assert read_edit(tmp_path / f"{number}.safetensors").same_as(kept)
    merged = merge_edits({"one": edit, "two": made("bird")}, WithVector())
    write_edit(merged, tmp_path / "merged.safetensors")
    assert read_edit(tmp_path / "merged.safetensors").same_as(merged)


def test_edits_of_one_encoder_and_of_two_are_not_merged() -> None:
    edits = {"one": solve(), "two": solve(encoder=Encoder(WIDTH))}
    for order in (edits, dict(reversed(edits.items()))):
        with pytest.raises(ScaPreError, match=r"one was made with two text encoders.* and two with one of them"):
            merge_edits(order, Projections(SHAPES), encoder=both())


class Blind(Other):
    """Reads every name of one letter alike."""

    def tokens(self, text: str) -> list[int]:
        return [3] if len(text) == 1 else super().tokens(text)


def test_names_that_one_encoder_reads_alike_are_told_and_those_that_both_do_are_refused() -> None:
    encoder = TwoReadings(Encoder(WIDTH), Blind(WIDTH))
    request = Request(parse_concepts("a\nb"), ("c",), METHODS["uce"].settings(), method="uce")
    notes = " ".join(encode_request(encoder, request)[0].notes)
    assert '"a" and "b" are the same to one of the model\'s text encoders' in notes
    assert '"c", which is preserved, is "a" to one of the model' in notes
    with pytest.raises(ScaPreError, match=r"^preserve: .*same tokens"):
        encode_request(TwoReadings(Blind(WIDTH), Blind(WIDTH)), request)


def test_a_text_that_is_too_long_names_the_encoder() -> None:
    class Short(Other):
        def tokens(self, text: str) -> list[int]:
            if len(text) > 5:
                raise ScaPreError("too long.")
            return super().tokens(text)

    with pytest.raises(ScaPreError, match=r"concepts: too long. It is the second of the model's two text encoders"):
        solve(names="red house", encoder=TwoReadings(Encoder(WIDTH), Short(WIDTH)))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("counts", torch.ones(4), "do not fit its concepts"),
        ("counts", torch.zeros(5), "do not fit its concepts"),
        ("common", None, "no sums of squares"),
    ],
)
def test_moments_that_cannot_be_are_refused(key: str, value: torch.Tensor | None, said: str) -> None:
    edit = solve("auto")
    there = edit.states.moments[key]
    moments = {**edit.states.moments, key: -3 * torch.ones_like(there) if value is None else value}
    broken = replace(edit, states=replace(edit.states, moments=moments))
    with pytest.raises(ScaPreError, match=said):
        merge_edits({"one": broken}, Projections(SHAPES))


def test_moments_that_do_not_fit_their_concepts_are_refused() -> None:
    edit = solve("auto")
    moments = {**edit.states.moments, "kin": edit.states.moments["kin"][:3]}
    broken = replace(edit, states=replace(edit.states, moments=moments))
    with pytest.raises(ScaPreError, match="do not fit its concepts"):
        merge_edits({"one": broken}, Projections(SHAPES))


class Same(Encoder):
    """Reads two names alike, as vocabularies do that have a piece for neither."""

    def tokens(self, text: str) -> list[int]:
        return super().tokens(text.replace("zz", "yy"))

    def _states(self, text: str) -> torch.Tensor:
        return super()._states(text.replace("zz", "yy"))


@pytest.mark.parametrize("method", ["auto", "uce"])
def test_a_name_that_is_its_anchor_to_the_encoder_is_told_and_moves_nothing(method: str, tmp_path: Path) -> None:
    """No figure may be a number divided by that, or the file is none."""
    parsed = parse_concepts("yy -> zz")
    request = Request(parsed, (), METHODS[method].settings(), method=method)
    states, _ = encode_request(Same(WIDTH), request)
    assert '"yy" and its anchor are the same to the text encoder, so nothing is erased' in states.notes
    edit = solve_edit(states, Projections(SHAPES), request)
    assert all(value < 1e-6 for value in edit.report.change.values())
    write_edit(edit, tmp_path / "edit.safetensors")
    assert read_edit(tmp_path / "edit.safetensors").same_as(edit)
    other = encode_request(TwoReadings(Encoder(WIDTH), Same(WIDTH)), request)[0]
    assert not any("its anchor" in note for note in other.notes)
