"""What the panel and programs say, and what a picture remembers of it; no host is needed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pack.scapre.errors import ScaPreError
from pack.scapre_webui import infotext
from pack.scapre_webui.choices import FIRST_PRESET, PRESETS, Choices

# As both hosts take an entry apart, and how they write its value.
_ENTRY = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def through_the_host(entries: dict[str, str]) -> dict[str, str]:
    """Entries as they come back from a picture."""
    quoted = {
        key: json.dumps(value, ensure_ascii=False) if set(value) & set(",\n:") else value
        for key, value in entries.items()
    }
    line = ", ".join(f"{key}: {value}" for key, value in quoted.items())
    *_, last = f"a prompt\n{line}".strip().split("\n")
    found = {}
    for key, value in _ENTRY.findall(last):
        if value and value[0] == '"' and value[-1] == '"':
            value = json.loads(value) if set(value) & set(",\n:") else value[1:-1]
        found[key] = value
    return found


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(TEXTS, TEXTS, TEXTS, st.floats(0, 2), st.integers(0, 2**63 - 1), TEXTS)
def test_everything_comes_back_byte_for_byte(
    concepts: str, anchor: str, preserve: str, strength: float, seed: int, settings: str
) -> None:
    choices = Choices(True, concepts, anchor, preserve, "uce", FIRST_PRESET, strength, seed, settings=settings)
    found = through_the_host(infotext.written(choices))
    assert {name: infotext.read(found, name) for name in infotext.FIELDS} == {
        name: getattr(choices, name) for name in infotext.FIELDS
    }
    assert infotext.read(found, "enabled") is True


@pytest.mark.parametrize("text", ['"number #1"', '"', "a, b: c", "x\u2028y\x85z\x0b", "\r\n", "[1]", "日本語 ☀", ""])
def test_texts_that_hosts_change_come_back(text: str) -> None:
    found = through_the_host(infotext.written(Choices(True, text)))
    assert infotext.read(found, "concepts") == text


def test_a_file_stands_in_the_place_of_the_list() -> None:
    entries = infotext.written(Choices(True, "moon", file='a "b", c.safetensors', strength=0.5))
    assert "moon" not in json.dumps(entries)
    found = through_the_host(entries)
    assert infotext.read(found, "file") == 'a "b", c.safetensors'
    assert infotext.read(found, "strength") == 0.5
    assert infotext.read(found, "concepts") is None


@pytest.mark.parametrize("value", ["x", "{}", "[1]", "[[", "null", '["a"', "[" * 2000])
def test_what_cannot_be_read_is_as_not_given(value: str) -> None:
    assert infotext.read({"ScaPre concepts": value}, "concepts") == ""
    assert infotext.read({"ScaPre concepts": "[]", "ScaPre strength": value}, "strength") == 1.0


def test_another_picture_switches_it_off_and_leaves_the_rest() -> None:
    assert infotext.read({"Steps": "6"}, "enabled") is False
    assert all(infotext.read({"Steps": "6"}, name) is None for name in infotext.FIELDS)


def test_arguments_go_by_their_places_and_may_end_early() -> None:
    assert Choices.of([True, "cat"]) == Choices(True, "cat")
    assert Choices.of([True, "cat", "", "", "auto", "", 1, 2**63 - 1]).seed == 2**63 - 1
    assert Choices.of([True, "cat", None, None, None, None, 1, 3.0]) == Choices(True, "cat", seed=3)
    names = [*Choices.__dataclass_fields__]
    assert names == [
        "enabled", "concepts", "anchor", "preserve", "method", "preset", "strength", "seed", "file", "settings",
    ]  # fmt: skip  # programs send them by their places: new ones come at the end


@pytest.mark.parametrize(("values", "said"), [
    ([True] * 11, "more than this version knows"),
    (["x", "cat"], "enabled"),
    ([1, "cat"], "enabled"), ([True, 3], "concepts"), ([True, "a", "", "", "auto", "", float("nan")], "strength"),
    ([True, "a", "", "", "auto", "", 2.1], "strength"), ([True, "a", "", "", "auto", "", True], "strength"),
    ([True, "a", "", "", "auto", "", 1, 2**63], "seed"), ([True, "a", "", "", "auto", "", 1, 0.5], "seed"),
    ([True, "a", "", "", "auto", "", 1, "x"], "seed"), ([True, "a", "", "", "auto", "", 1, "1e5"], "seed"),
    ([True, "a", "", "", "auto", "", "1"], "strength"),
])  # fmt: skip
def test_values_without_a_meaning_are_refused(values: list[Any], said: str) -> None:
    with pytest.raises(ScaPreError, match=said):
        Choices.of(values)


def test_a_request_has_the_method_its_preset_and_single_settings() -> None:
    made = Choices(
        True, "cat -> dog\nbird", preserve="fish", method="scapre", settings="ridge = 3\n# no\n\nvariant=scale"
    )
    request = made.request()
    assert [concept.text for concept in request.concepts.concepts] == ["cat", "bird"]
    assert request.preserve == ("fish",)
    assert (request.settings.ridge, request.settings.variant) == (3.0, "scale")
    assert Choices(True, "cat", method="scapre", preset="styles").request().settings != request.settings


@pytest.mark.parametrize(("settings", "said"), [
    ("ridge", "no setting"), ("magic = 1", "has no setting"), ("ridge = x", "a number"), ("samples = 1.5", "whole"),
    ("ridge = -5", "outside"), ("variant = x", "unknown"),
])  # fmt: skip
def test_settings_are_checked(settings: str, said: str) -> None:
    with pytest.raises(ScaPreError, match=said):
        Choices(True, "cat", method="scapre", settings=settings).request()


def test_a_preset_of_another_method_is_refused_in_words() -> None:
    assert PRESETS[0] == FIRST_PRESET
    with pytest.raises(ScaPreError, match="none of the method auto"):
        Choices(True, "cat", preset="objects-few").request()


def test_changes_are_checked_as_values_are() -> None:
    changed = Choices.of([False, "cat", "", "", "auto", "", "never read"], {"enabled": True, "strength": 0.5})
    assert (changed.enabled, changed.strength) == (True, 0.5)
    with pytest.raises(ScaPreError, match="strength"):
        Choices.of([True, "cat"], {"strength": "much"})


@pytest.mark.parametrize("values", [[], [False, 3], [None], [False, "cat", "", "", "auto", "", 9, -1]])
def test_what_is_off_is_not_read(values: list[Any]) -> None:
    assert Choices.of(values) == Choices()


@pytest.mark.parametrize("place", [1, 2, 3, 4, 5, 8, 9])
def test_halves_of_characters_are_told_in_whole_ones(place: int) -> None:
    values: list[Any] = [True, "cat", "", "", "auto", "usual", 1, 0, "None", ""]
    values[place] = "ab\ud800"
    with pytest.raises(ScaPreError, match="position 3 is half of one") as caught:
        Choices.of(values)
    str(caught.value).encode()
