"""Two edits are the same if they do the same to any weights, and only then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pack.scapre.edits.edit import Edit
from pack.scapre.edits.hide import hide_names
from pack.scapre.files import read_edit, write_edit
from pack.scapre.methods.scapre.settings import Settings
from pack.tests.worlds import SHAPES, WIDTH, Projections, ask, edit_of

SETTINGS = {"precise": Settings(), "scale": Settings(variant="scale"), "no gate": Settings(informax=False)}
TEXT = "cat -> dog\nbird"


def made(text: str = TEXT, settings: Settings = SETTINGS["precise"], *, weights: int = 0, **more) -> Edit:
    kept = {key: more.pop(key) for key in ("seed", "templates") if key in more}
    return edit_of(ask(text, settings, **kept), Projections(SHAPES, seed=weights), torch.float32)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_what_does_the_same_is_the_same(settings: Settings, tmp_path: Path) -> None:
    edit = made(settings=settings)
    write_edit(edit, tmp_path / "a.safetensors")
    others = {
        "itself": edit,
        "solved again": made(settings=settings),
        "without names": hide_names(edit),
        "from a file": read_edit(tmp_path / "a.safetensors"),
        "moved": edit.to("cpu"),
        "in another order": made("bird\ncat -> dog", settings),
        "solved in float64": edit_of(ask(TEXT, settings), Projections(SHAPES)),
        "marked with other weights": replace(edit, fingerprint="0" * 32),
        "marked with another seed": replace(edit, seed=edit.seed + 1),
    }
    for label, other in others.items():
        assert edit.same_as(other) and other.same_as(edit), label


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_what_does_something_else_is_another(settings: Settings) -> None:
    edit = made(settings=settings)
    others = {
        "another anchor": made("cat -> art\nbird", settings),
        "no anchor": made("cat\nbird", settings),
        "fewer names": made("cat -> dog", settings),
        "more names": made("cat -> dog\nbird\nfish", settings),
        "another ridge": made(settings=replace(settings, ridge=0.6)),
        "other samples": made(settings=replace(settings, samples=settings.samples + 1)),
        "another seed": made(settings=settings, seed=8),
        "other wordings": made(settings=settings, templates=("{concept}", "a photo of a {concept}")),
        "other weights": made(settings=settings, weights=3),
        "other matrices": edit_of(ask(TEXT, settings), Projections([*SHAPES, (8, WIDTH)]), torch.float32),
        "another shape": edit_of(ask(TEXT, settings), Projections([(8, WIDTH), *SHAPES[1:]]), torch.float32),
    }
    for label, other in others.items():
        assert not edit.same_as(other) and not other.same_as(edit), label


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_an_edit_is_the_same_on_a_gpu() -> None:
    edit, other = made(), made("cat -> art\nbird")
    assert edit.same_as(edit.to("cuda")) and edit.to("cuda").same_as(edit)
    assert not edit.to("cuda").same_as(other) and not edit.same_as(other.to("cuda"))


def test_a_setting_that_has_no_part_in_the_change_makes_no_other_edit() -> None:
    edit = made()
    assert edit.same_as(replace(edit, settings=replace(edit.settings, bures_steps=7)))  # of the other variant
    assert not edit.same_as(replace(edit, settings=replace(edit.settings, alpha_min=0.3)))
