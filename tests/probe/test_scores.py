"""What a probe measures, against its equations written out on models whose predictions are known."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from pack.scapre.errors import ScaPreError
from pack.scapre.probe import WORDINGS, Probed, Row, Wording, measure, wordings_of
from pack.scapre.probe.report import render, scores

SHAPE = (2, 3)
Predict = Callable[[str, int, Tensor], Tensor]


def vector(text: str, scale: float = 1.0) -> Tensor:
    """What a text adds, the same each time; nothing for the empty one."""
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return scale * torch.randn(SHAPE, generator=generator, dtype=torch.float64) if text else torch.zeros(SHAPE).double()


def plain(text: str, point: int, latent: Tensor) -> Tensor:
    return latent.double() * (1 + point) + vector(text, 1 + point)


@dataclass
class Toy:
    """Models that predict by functions of the text; a step ahead scales them, as a sampler's does."""

    edited: Predict
    original: Predict = plain
    points: Sequence[float] = (5.0, 1.0)
    factors: tuple[float, ...] = (0.3, -2.0)
    asked: list[tuple[bool, int, str]] = field(default_factory=list)

    def draw(self, texts: Sequence[str], seed: int) -> Tensor:
        return torch.stack([
            torch.stack([vector(f"{text} {seed} {point}") for point in range(len(self.points))]) for text in texts
        ])  # fmt: skip

    def predict(self, edited: bool, point: int, latents: Tensor, texts: Sequence[str]) -> Tensor:
        self.asked += [(edited, point, text) for text in texts]
        model = self.edited if edited else self.original
        return torch.stack([
            latent + self.factors[point] * model(text, point, latent)
            for latent, text in zip(latents, texts, strict=True)
        ])  # fmt: skip


def changed(change: Callable[[str, Tensor], Tensor]) -> Predict:
    """A model whose texts' own parts are changed."""
    return lambda text, point, latent: latent.double() * (1 + point) + change(text, vector(text, 1 + point))


def row_of(found: Probed, name: str) -> Row:
    return next(row for row in found.rows if row.name == name)


BARE = (Wording("", "", ""),)


@pytest.mark.parametrize("share", [1.0, 0.25, 0.0, -1.0])
def test_what_is_left_is_the_share_that_is_left(share: float) -> None:
    models = Toy(changed(lambda text, own: share * own if "cat" in text else own))
    found = measure(models, ["cat", "dog"], [], BARE, [0, 1])
    assert row_of(found, "cat").overall == pytest.approx(share, abs=1e-12)
    assert row_of(found, "cat").points == pytest.approx((share, share), abs=1e-12)
    assert row_of(found, "dog").overall == pytest.approx(1)
    assert row_of(found, "").overall == 0


def test_the_figures_are_those_of_the_equations() -> None:
    edited = changed(lambda text, own: 0.3 * own + 0.1 * vector(f"other {text}") + 0.2)
    models, wordings, seeds = Toy(edited), WORDINGS, [3, 4, 5]
    found = measure(models, ["cat", "red house"], ["dog"], wordings, seeds)

    def stacked(model: Predict, text: str, latents: Tensor, point: int) -> Tensor:
        return model(text, point, latents[point])

    for name in ("cat", "red house", "dog"):
        along = square = moved = 0.0
        for seed in seeds:
            latents = models.draw([name], seed)[0]
            for point, factor in enumerate(models.factors):
                for wording in wordings:
                    text = wording.fill(name)
                    before, base, after, after_base = (
                        factor * stacked(model, said, latents, point)
                        for model, said in (
                            (plain, text),
                            (plain, wording.base),
                            (edited, text),
                            (edited, wording.base),
                        )
                    )
                    along += float(((after - after_base) * (before - base)).sum())
                    square += float((before - base).square().sum())
                    moved += float((after - before).square().sum())
        wanted = (moved / square) ** 0.5 if name == "dog" else along / square
        assert row_of(found, name).overall == pytest.approx(wanted, rel=1e-9)
    assert found.predictions == len(models.asked)


def test_the_worst_wording_is_named() -> None:
    models = Toy(changed(lambda text, own: 0.9 * own if text == "a cat" else 0.1 * own if "cat" in text else own))
    found = measure(models, ["cat"], [], [*BARE, Wording("a ", "", "")], [0])
    assert row_of(found, "cat").most == ("a cat", pytest.approx(0.9))


def test_every_text_is_asked_once_of_each_model_at_each_point() -> None:
    models = Toy(plain)
    measure(models, ["cat"], ["dog"], WORDINGS, [0])
    bases = {wording.base for wording in WORDINGS}
    assert len(models.asked) == 2 * 2 * 2 * (len(WORDINGS) + len(bases))
    assert not [
        edited for edited, *_ in models.asked[: len(models.asked) // 2] if edited
    ]  # so weights are patched once


def test_the_empty_prompt_is_told_of_where_it_was_asked() -> None:
    models = Toy(changed(lambda text, own: own if text else own + 0.5))
    assert row_of(measure(models, ["cat"], [], BARE, [0]), "").overall > 0
    found = measure(Toy(plain), ["cat"], [], [Wording("a ", "", "a thing")], [0])
    assert [row.name for row in found.rows] == ["cat"]


@pytest.mark.parametrize(
    ("names", "stays", "said"),
    [
        ([], [], r"^names: there are none"),
        (["A Picture"], [], r'^names: .*"A Picture" is itself a prompt'),
        (["cat"], ["a picture"], r'^names: .*"a picture" is itself'),
    ],
)
def test_names_that_cannot_be_measured_are_refused(names: list[str], stays: list[str], said: str) -> None:
    with pytest.raises(ScaPreError, match=said):
        measure(Toy(plain), names, stays, WORDINGS, [0])


def test_a_name_that_says_nothing_is_named() -> None:
    models = Toy(plain, original=lambda text, point, latent: latent)
    with pytest.raises(ScaPreError, match=r'predicts the same with "cat" and without it'):
        measure(models, ["cat"], [], BARE, [0])


@pytest.mark.parametrize("broken", ["original", "edited"])
def test_predictions_that_are_no_numbers_are_refused(broken: str) -> None:
    def nan(text: str, point: int, latent: Tensor) -> Tensor:
        return plain(text, point, latent) * (float("nan") if text == "cat" and point else 1)

    models = Toy(nan if broken == "edited" else plain, original=nan if broken == "original" else plain)
    with pytest.raises(ScaPreError, match=rf'^{broken}: the model predicts NaN or infinity for "cat"'):
        measure(models, ["cat"], [], BARE, [0])


def test_wordings_are_typed_with_a_place_for_the_name() -> None:
    assert wordings_of(" ; ") == WORDINGS
    assert wordings_of("a poster by NAME, bold; NAME") == (
        Wording("a poster by ", ", bold", "a poster by, bold"),
        Wording("", "", ""),
    )
    for text in ("a poster", "NAME and NAME", "a name"):
        with pytest.raises(ScaPreError, match="needs NAME once"):
            wordings_of(text)
    with pytest.raises(ScaPreError, match="too many"):
        wordings_of("; ".join(f"{number} NAME" for number in range(21)))


def test_the_report_and_the_scores_say_the_same() -> None:
    found = measure(Toy(changed(lambda text, own: 0.5 * own)), ["cat", "| *dog*"], ["tulip"], WORDINGS, [0])
    text, numbers = render(found, ["12 predictions"]), scores(found)
    assert "0.500" in text and r"\| \*dog\*" in text and "12 predictions" in text and "(empty prompt)" in text
    assert '"left": 0.5' in numbers and '"drift"' in numbers and "NaN" not in numbers
