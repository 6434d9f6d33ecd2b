"""An applied edit changes the projections alone, however the host loads them, lives with LoRAs, and comes off again."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management as management
import comfy.sd
import pytest
import torch
from comfy.model_patcher import LowVramPatch
from safetensors.torch import load_file

from pack.nodes.host.patch import apply_edit
from pack.scapre.edits.edit import Edit
from pack.tests.host import models
from pack.tests.host.models import CPU, answer, loaded, projection, projections, same, snapshot, solve, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


@pytest.mark.parametrize("lowvram", [False, True])
@pytest.mark.parametrize("strength", [0.35, 1.0, 2.0])
def test_the_model_computes_with_the_edited_weights(edit: Edit, strength: float, lowvram: bool) -> None:
    model = unet()
    originals = projections(model)
    with loaded(apply_edit(model, edit, strength), lowvram=lowvram) as network:
        for name, weight in originals.items():
            expected = weight + strength * edit.delta(name, weight)
            torch.testing.assert_close(projection(network, name), expected, rtol=0, atol=1e-6)
            assert (expected - weight).norm() > 0.1 * strength * weight.norm()


def test_both_ways_of_loading_give_one_picture(edit: Edit) -> None:
    edited = apply_edit(unet(), edit, 1.0)
    whole = answer(edited)
    edited.patch_model(CPU, lowvram_model_memory=1)
    assert edited.lowvram_patch_counter() == len(edit.shapes)
    generator = torch.Generator().manual_seed(99)
    image, states = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 24, generator=generator)
    with torch.inference_mode():
        short = edited.model.apply_model(image, torch.ones(1), c_crossattn=states)
    edited.unpatch_model(CPU)
    torch.testing.assert_close(short, whole, rtol=0, atol=1e-5)


def test_only_the_projections_change(edit: Edit) -> None:
    model = unet()
    before = snapshot(model)
    with loaded(apply_edit(model, edit, 1.0)):
        after = snapshot(model)
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(edit.shapes)


@pytest.mark.parametrize("lowvram", [False, True])
def test_a_lora_before_is_erased_along(clip: comfy.sd.CLIP, lowvram: bool) -> None:
    bare = unet()
    originals, content = projections(bare), models.lora(bare, seed=5)
    model = models.with_lora(bare, content, 0.8)
    solved = solve(model, clip)
    assert solved.fingerprint != solve(bare, clip).fingerprint
    with loaded(apply_edit(model, solved, 1.0), lowvram=lowvram) as network:
        for name, weight in originals.items():
            merged = (weight.double() + models.lora_delta(content, name, 0.8)).float()
            expected = merged + solved.delta(name, merged)
            torch.testing.assert_close(projection(network, name), expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("lowvram", [False, True])
def test_a_lora_after_adds_on_top(edit: Edit, lowvram: bool) -> None:
    bare = unet()
    originals, content = projections(bare), models.lora(bare, seed=5)
    model = models.with_lora(apply_edit(bare, edit, 1.0), content, 0.8)
    with loaded(model, lowvram=lowvram) as network:
        for name, weight in originals.items():
            edited = weight + edit.delta(name, weight)
            expected = (edited.double() + models.lora_delta(content, name, 0.8)).float()
            torch.testing.assert_close(projection(network, name), expected, rtol=0, atol=1e-6)


def test_edits_stack(clip: comfy.sd.CLIP, edit: Edit) -> None:
    model = unet()
    once = apply_edit(model, edit, 1.0)
    second = solve(once, clip, "sailing ship", "objects-many")
    with loaded(apply_edit(once, second, 0.5)) as network:
        stacked = {name: projection(network, name) for name in edit.shapes}
    for name, weight in projections(model).items():
        edited = weight + edit.delta(name, weight)
        expected = edited + 0.5 * second.delta(name, edited)
        torch.testing.assert_close(stacked[name], expected, rtol=0, atol=1e-6)


def test_strength_zero_is_the_original(edit: Edit) -> None:
    model = unet()
    before = answer(model)
    none = apply_edit(model, edit, 0.0)
    assert none is model
    assert torch.equal(answer(none), before)
    assert model.patches == {}


def test_originals_and_siblings_never_notice(edit: Edit) -> None:
    model = unet()
    sibling = models.with_lora(model, models.lora(model, seed=7), 0.5)
    stored, plain, other = snapshot(model), answer(model), answer(sibling)
    edited = apply_edit(model, edit, 1.0)
    assert torch.equal(answer(model), plain)
    changed = answer(edited)
    assert (changed - plain).abs().max() > 0.01
    assert torch.equal(answer(model), plain)
    assert torch.equal(answer(sibling), other)
    assert torch.equal(answer(edited), changed)
    with loaded(edited):
        assert torch.equal(answer(model), plain)  # the host swaps one clone's patches for the other's
    assert same(snapshot(model), stored)
    assert model.patches == {}


@pytest.mark.parametrize("lowvram", [False, True])
def test_unloading_restores_the_weights(edit: Edit, lowvram: bool) -> None:
    model = unet()
    before = snapshot(model)
    with loaded(apply_edit(model, edit, 1.0), lowvram=lowvram):
        assert same(snapshot(model), before) == lowvram
    assert same(snapshot(model), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("lowvram", [False, True])
def test_half_precision_stays_what_it_is(clip: comfy.sd.CLIP, dtype: torch.dtype, lowvram: bool) -> None:
    model = unet(dtype=dtype)
    before, originals = snapshot(model), projections(model)
    solved = solve(model, clip)
    edited = apply_edit(model, solved, 1.0)
    with loaded(edited, lowvram=lowvram) as network:
        assert {weight.dtype for weight in projections(model).values()} == {dtype}
        for name, weight in originals.items():
            expected = weight.float() + solved.delta(name, weight)
            if not lowvram:  # stored in half precision; else added in float32 at each forward
                expected = expected.to(dtype).float()
            torch.testing.assert_close(projection(network, name).float(), expected, rtol=0, atol=1e-6)
    assert answer(edited).isfinite().all()
    assert same(snapshot(model), before)


def test_a_saved_checkpoint_holds_the_edited_weights(edit: Edit, tmp_path: Path) -> None:
    model = unet()
    file = tmp_path / "edited.safetensors"
    comfy.sd.save_checkpoint(str(file), apply_edit(model, edit, 0.7))  # what CheckpointSave does
    management.unload_all_models()
    saved = load_file(file)
    originals = snapshot(model)
    for name, weight in originals.items():
        if name.startswith("diffusion_model."):
            expected = weight + 0.7 * edit.delta(name, weight) if name in edit.shapes else weight
            torch.testing.assert_close(saved[f"model.{name}"], expected, rtol=0, atol=1e-6)


def test_a_merge_takes_its_share_of_the_edit(edit: Edit) -> None:
    model = unet()
    merged = model.clone()  # what ModelMergeSimple does with two models
    share = apply_edit(model, edit, 1.0).get_key_patches("diffusion_model.")
    merged.add_patches(share, 0.25, 0.75)
    with loaded(merged) as network:
        found = {name: projection(network, name) for name in edit.shapes}
    for name, weight in projections(model).items():
        torch.testing.assert_close(found[name], weight + 0.25 * edit.delta(name, weight), rtol=0, atol=1e-6)


@pytest.mark.skipif(not hasattr(LowVramPatch, "memory_required"), reason="this ComfyUI does not copy ahead")
def test_the_patch_survives_the_hosts_prefetching(edit: Edit) -> None:
    """When weights are streamed, the host copies each patch's tensors ahead and builds the patch anew around them."""
    model = unet()
    edited = apply_edit(model, edit, 1.0)
    for name, weight in projections(model).items():
        patch = LowVramPatch(name, edited.patches)
        direct = patch(weight.clone())
        size = patch.memory_required()
        assert size <= 1024  # a marker; the edit itself is shared by all matrices
        patch.prepare(torch.empty(size, dtype=torch.uint8), None)
        assert patch.prepared_patches is not None
        assert patch.prepared_patches[0][1] is not edited.patches[name][0][1]
        assert torch.equal(patch(weight.clone()), direct)
        assert not torch.equal(direct, weight)


def test_an_edit_is_kept_by_clones_and_by_its_tensors_alone(edit: Edit) -> None:
    model = unet()
    clone = apply_edit(model, edit, 1.0).clone()
    held = {key: value.clone() for key, value in models.tensors(edit).items()}
    before = answer(clone)
    assert torch.equal(answer(clone.clone()), before)
    assert same(models.tensors(edit), held)
