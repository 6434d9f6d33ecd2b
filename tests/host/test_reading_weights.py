"""Weights are read as the sampler would see them, and the model is left alone."""

from __future__ import annotations

import comfy.hooks
import comfy.sd
import pytest
import torch

from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.scapre.edits.edit import Edit
from pack.tests.host import models
from pack.tests.host.models import CPU, loaded, projections, same, snapshot, unet, untouched

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


@pytest.mark.parametrize("state", ["at rest", "loaded", "sibling loaded", "short of memory", "sibling short of memory"])
@pytest.mark.parametrize("patched", [False, True])
def test_reading_gives_the_patched_weight_and_leaves_the_model_alone(state: str, patched: bool) -> None:
    bare = unet()
    originals, first, second = projections(bare), models.lora(bare, seed=5), models.lora(bare, seed=6)
    model = models.with_lora(bare, first, 0.8) if patched else bare
    active = models.with_lora(bare, second, -0.5) if "sibling" in state else model
    patches = {key: list(value) for key, value in model.patches.items()}

    def check() -> None:
        stored = snapshot(model)
        found = HostProjections(model)
        texts = [name for name, role in found.roles.items() if role.reads_text]
        assert set(texts) == set(originals)
        for name in texts:
            expected = originals[name].double()
            if patched:
                expected = expected + models.lora_delta(first, name, 0.8)
            read = found.read(name, CPU)
            assert read.dtype == torch.float32
            torch.testing.assert_close(read.double(), expected, rtol=0, atol=1e-6)
            read.zero_()  # a copy: it is the reader's own
        assert untouched(model, stored, patches)

    if state == "at rest":
        check()
    else:
        with loaded(active, lowvram="short" in state):
            check()
    assert same(projections(bare), originals)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reading_half_precision_keeps_what_a_lora_adds_below_it(dtype: torch.dtype) -> None:
    model = unet(dtype=dtype)
    content = models.lora(model, seed=5)
    found = HostProjections(models.with_lora(model, content, 1e-4))
    for name, weight in projections(model).items():
        expected = weight.double() + models.lora_delta(content, name, 1e-4)
        torch.testing.assert_close(found.read(name, CPU).double(), expected, rtol=0, atol=1e-6)


def test_reading_sees_earlier_edits(edit: Edit) -> None:
    model = unet()
    found = HostProjections(apply_edit(model, edit, 0.6))
    for name, weight in projections(model).items():
        torch.testing.assert_close(found.read(name, CPU), weight + 0.6 * edit.delta(name, weight), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "patched",
    [
        False,
        True,
    ],
)
def test_reading_leaves_out_the_patches_of_a_schedule(patched: bool) -> None:
    bare = unet()
    originals, content = projections(bare), models.lora(bare, seed=5)
    model = models.with_lora(bare, content, 0.8) if patched else bare.clone()
    hook, group = comfy.hooks.WeightHook(), comfy.hooks.HookGroup()
    hook.need_weight_init, hook.weights = False, {n: ("diff", (torch.ones_like(w),)) for n, w in originals.items()}
    group.add(hook)
    target = comfy.hooks.create_target_dict(comfy.hooks.EnumWeightTarget.Model)
    hook.add_hook_patches(model, model.model_options, target, comfy.hooks.HookGroup())
    with loaded(model):
        model.patch_hooks(group)  # as while sampling with scheduled conditioning
        try:
            assert not torch.equal(model.model.state_dict()[next(iter(originals))], next(iter(originals.values())))
            for name, weight in originals.items():
                expected = weight.double() + (models.lora_delta(content, name, 0.8) if patched else 0)
                read = HostProjections(model).read(name, CPU).double()
                torch.testing.assert_close(read, expected, rtol=0, atol=1e-6)
        finally:
            model.clean_hooks()


def test_bypass_adapters_are_noted() -> None:
    model = unet()
    content = models.lora(model, seed=5)
    assert HostProjections(models.with_lora(model, content, 1.0)).notes() == ()
    beside = comfy.sd.load_bypass_lora_for_models(model, None, content, 1.0, 0)[0]
    assert any("bypass" in note for note in HostProjections(beside).notes())
