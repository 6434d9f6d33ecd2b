"""The least strength at which little enough is left, on models whose answer to a strength is known."""

from __future__ import annotations

import pytest

from pack.scapre.probe import WORDINGS, Asked, Strength, least_strength
from pack.scapre.probe.strength import MOST, TRIES, USUAL
from pack.tests.probe.test_scores import Toy, changed

WANTED = WORDINGS[:1]  # whose base prompt says nothing


class Turned:
    """Models of which the edited one keeps 1 - slope times strength of each name."""

    def __init__(self, **slopes: float) -> None:
        self.strength, self.slopes = 0.0, slopes
        self.models = Toy(changed(lambda text, own: (1 - self.strength * self.slope(text)) * own))
        self.asked = Asked(self.models, ["cat", "dog"], ["fish"], WANTED, [0])

    def slope(self, text: str) -> float:
        return next((slope for name, slope in self.slopes.items() if name in text), 0.0)

    def find(self, threshold: float) -> Strength:
        def set_to(strength: float) -> None:
            self.strength = strength

        return least_strength(self.asked, set_to, threshold)


@pytest.mark.parametrize(
    ("slope", "threshold", "wanted"),
    [(1.0, 0.1, 0.9), (4.0, 0.0, 0.25), (0.6, 0.1, 1.5), (100.0, 0.1, 0.009), (1, 0, 1)],
)
def test_it_is_the_least_to_a_sixteenth(slope: float, threshold: float, wanted: float) -> None:
    world = Turned(cat=slope, dog=2 * slope, fish=0.1)
    found = world.find(threshold)
    assert found.reached and wanted <= found.value <= wanted + 1 / 16
    assert world.strength == found.value  # where the edited model is left
    assert found.left.name == "cat" and found.left.overall == pytest.approx(1 - found.value * slope)
    assert {row.name for row in found.probed.rows if row.role == "stays"} == {"fish"}
    assert found.tried[0][0] == USUAL and len(found.tried) <= TRIES


@pytest.mark.parametrize("slope", [0.3, 0.0, -1.0])
def test_the_greatest_is_told_where_it_does_not_suffice(slope: float) -> None:
    found = Turned(cat=slope, dog=1.0).find(0.1)
    assert not found.reached and found.value == MOST
    assert [strength for strength, _ in found.tried] == [USUAL, MOST]
    assert found.left.name == "cat" and found.tried[-1][1] == pytest.approx(found.left.overall)


def test_the_original_is_asked_once_and_names_that_stay_only_at_the_end() -> None:
    world = Turned(cat=1.0, dog=1.0)
    found = world.find(0.1)
    original = [text for edited, _, text in world.models.asked if not edited]
    stays = [text for edited, _, text in world.models.asked if edited and "fish" in text]
    assert len(original) == 2 * 3 * 2 and len(stays) == 2  # points, names and texts of each
    assert world.asked.predictions == len(world.models.asked) == 24 + len(found.tried) * 2 * 2 * 2
