"""A model carries an edit exactly where it changes what the host computes, also inside merges and hooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.hooks
import comfy.sd
import comfy_extras.nodes_model_merging as merging
import folder_paths
import pytest
import torch
from comfy.model_patcher import ModelPatcher

from pack.nodes.apply_edit import ApplyEdit
from pack.nodes.export_edit import ExportEdit
from pack.nodes.host.carried import HOOKED, ITSELF, MERGED, carried
from pack.nodes.host.patch import apply_edit, carried_edits
from pack.nodes.merge_edits import MergeEdits
from pack.scapre.edits.edit import Edit
from pack.scapre.edits.hide import hide_names
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit, write_edit
from pack.tests.host import models
from pack.tests.host.models import loaded, projection, projections, solve, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


def simple(first: ModelPatcher, second: ModelPatcher, ratio: float) -> ModelPatcher:
    return merging.ModelMergeSimple().merge(first, second, ratio)[0]


def blocks(first: ModelPatcher, second: ModelPatcher, **ratios: float) -> ModelPatcher:
    """ModelMergeBlocks: a ratio for all blocks of a kind."""
    return merging.ModelMergeBlocks().merge(first, second, **{"input": 1.0, "middle": 1.0, "out": 1.0} | ratios)[0]


def less(first: ModelPatcher, second: ModelPatcher, multiplier: float = 1.0) -> ModelPatcher:
    return merging.ModelSubtract().merge(first, second, multiplier)[0]


def plus(first: ModelPatcher, second: ModelPatcher) -> ModelPatcher:
    return merging.ModelAdd().merge(first, second)[0]


def lora(model: ModelPatcher) -> ModelPatcher:
    return models.with_lora(model, models.lora(unet(), seed=5), 0.5)


def hooked(model: ModelPatcher, patches: dict[str, Any], strength: float = 1.0) -> ModelPatcher:
    """A model with weights in a hook, as the host keeps them while it samples."""
    clone, hook = model.clone(), comfy.hooks.WeightHook()
    clone.add_hook_patches(hook, patches, strength)
    return clone


# By what is made of a plain model and an edited one: where the edit is then; None is nowhere.
PLACES: dict[str, tuple[Callable[[ModelPatcher, ModelPatcher], ModelPatcher], str | None]] = {
    "the edited model": (lambda _, e: e, ITSELF),
    "a clone": (lambda _, e: e.clone(), ITSELF),
    "a LoRA after it": (lambda _, e: lora(e), ITSELF),
    "the plain model": (lambda p, _: p, None),
    "first of a merge": (lambda p, e: simple(e, p, 0.5), MERGED),
    "second of a merge": (lambda p, e: simple(p, e, 0.5), MERGED),
    "little of it": (lambda p, e: simple(p, e, 0.99), MERGED),
    "first, alone": (lambda p, e: simple(e, p, 1.0), ITSELF),
    "second, alone": (lambda p, e: simple(p, e, 0.0), MERGED),
    "first, at 0": (lambda p, e: simple(e, p, 0.0), None),
    "second, at 0": (lambda p, e: simple(p, e, 1.0), None),
    "both": (lambda _, e: simple(e, e, 0.5), MERGED),
    "twice nested": (lambda p, e: simple(p, simple(p, lora(e), 0.5), 0.5), MERGED),
    "twice nested, outer at 0": (lambda p, e: simple(p, simple(p, e, 0.5), 1.0), None),
    "twice nested, inner at 0": (lambda p, e: simple(p, simple(p, e, 1.0), 0.5), None),
    "twice nested, inner first at 0": (lambda p, e: simple(p, simple(e, p, 0.0), 0.5), None),
    "some blocks": (lambda p, e: blocks(p, e, middle=0.5), MERGED),
    "some blocks without it": (lambda p, e: blocks(e, p, middle=0.0), MERGED),
    "no blocks": (lambda p, e: blocks(p, e), None),
    "its difference added": (lambda p, e: plus(p, less(e, p)), MERGED),
    "taken away from itself": (lambda p, e: plus(p, less(e, e)), None),
    "edited after a merge": (lambda p, e: apply_edit(simple(p, unet(seed=1), 0.5), EDITS[0], 1.0), ITSELF),
    "on some weights only": (lambda p, e: part(p, e), MERGED),
    "at a strength below rounding": (lambda p, e: apply_edit(p, EDITS[0], 1e-12), None),
    "replaced": (lambda p, e: replaced(e), None),
    "in a hook": (lambda p, e: hooked(p, {name: held[0][1] for name, held in e.patches.items()}), HOOKED),
    "in a hook, inside a merge": (lambda p, e: hooked(p, e.get_key_patches("diffusion_model.")), HOOKED),
    "in a hook at 0": (lambda p, e: hooked(p, e.get_key_patches("diffusion_model."), 0.0), None),
}
EDITS: list[Edit] = []


def part(plain: ModelPatcher, edited: ModelPatcher) -> ModelPatcher:
    clone, name = plain.clone(), next(iter(edited.patches))
    clone.add_patches({name: edited.patches[name][0][1]})
    return clone


def replaced(edited: ModelPatcher) -> ModelPatcher:
    clone = edited.clone()
    clone.add_patches({name: ("set", (weight,)) for name, weight in projections(edited).items()})
    return clone


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, edit: Edit) -> tuple[ModelPatcher, str | None]:
    """A model, and where it carries the edit."""
    EDITS[:] = [edit]
    make, where = PLACES[request.param]
    plain = unet()
    return make(plain, apply_edit(plain, edit, 0.8)), where


def test_an_edit_is_seen_where_it_acts_and_nowhere_else(
    place: tuple[ModelPatcher, str | None], edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, where = place
    assert [held.where for held in carried(model)] == ([where] if where else [])
    assert all(held.same_as(edit) for held in carried_edits(model))
    if where == HOOKED or model.hook_patches:
        return

    def weights() -> dict[str, torch.Tensor]:
        with loaded(model) as network:
            return {name: projection(network, name) for name in edit.shapes}

    with_it = weights()
    monkeypatch.setattr(Edit, "delta", lambda self, name, weight: torch.zeros_like(weight))
    model.patches_uuid = None  # so that the host patches anew
    without = weights()
    assert any(not torch.equal(with_it[name], without[name]) for name in edit.shapes) == bool(where)


def test_nodes_say_where_a_model_carries_the_edit(
    place: tuple[ModelPatcher, str | None], edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, where = place
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    words = {
        ITSELF: ("^edit: the model already carries this edit", "^model: it carries an edit already"),
        MERGED: ("^edit: the model carries this edit inside a merge", "^model: it carries an edit inside a merge"),
        HOOKED: ("^edit: the model carries this edit in a hook", "^model: it carries an edit in a hook"),
    }
    for number, node, more in (
        (0, ApplyEdit, {"edit": edit}), (0, ExportEdit, {"edit": edit, "format": "lora"}),
        (1, MergeEdits, {"edits": {"edit_1": edit}}),
    ):  # fmt: skip
        if where:
            with pytest.raises(ScaPreError, match=words[where][number]):
                node.EXECUTE_NORMALIZED(model=model, **more)
        else:
            node.EXECUTE_NORMALIZED(model=model, **more)


def test_the_same_edit_is_known_in_every_form(edit: Edit, clip: comfy.sd.CLIP, tmp_path: Path) -> None:
    write_edit(edit, tmp_path / "a.safetensors")
    forms = [edit, hide_names(edit), read_edit(tmp_path / "a.safetensors"), solve(unet(), clip)]
    for first in forms:
        model = simple(unet(), apply_edit(unet(), first, 1.0), 0.5)
        for second in forms:
            with pytest.raises(ScaPreError, match="carries this edit inside a merge"):
                apply_edit(model, second, 1.0)
    both = simple(apply_edit(unet(), forms[1], 1.0), apply_edit(unet(), forms[2], 1.0), 0.5)
    assert len(carried_edits(both)) == 1


def test_other_edits_are_taken_and_all_are_seen(edit: Edit, clip: comfy.sd.CLIP) -> None:
    other = solve(unet(), clip, "cat -> art\nVincent van Gogh -> art")  # the same names
    stacked = apply_edit(apply_edit(unet(), edit, 1.0), other, 1.0)
    assert [held.where for held in carried(stacked)] == [ITSELF, ITSELF]
    merged = apply_edit(simple(unet(), apply_edit(unet(), edit, 1.0), 0.5), other, 1.0)
    assert [held.where for held in carried(merged)] == [MERGED, ITSELF]
    with pytest.raises(ScaPreError, match="already carries this edit"):
        apply_edit(merged, other, 0.5)
    with pytest.raises(ScaPreError, match="carries this edit inside a merge"):
        apply_edit(merged, edit, 0.5)
    with pytest.raises(ScaPreError, match="it carries an edit inside a merge"):
        MergeEdits.EXECUTE_NORMALIZED(model=merged, edits={"edit_1": edit})
