"""The node Erase While Sampling on the host's own models, sampled by the host."""

from __future__ import annotations

from typing import Any

import comfy.hooks
import comfy.model_management as management
import comfy.sample
import comfy.samplers
import comfy.sd
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_custom_sampler import Guider_DualCFG
from comfy_extras.nodes_model_advanced import ModelSamplingSD3
from torch import Tensor

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.erase_while_sampling import EraseWhileSampling
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.text_encoder import ClipEncoder
from pack.scapre.adavd import directions, without
from pack.scapre.errors import ScaPreError
from pack.scapre.progress import silent
from pack.tests.host import models, quantised, test_cascade
from pack.tests.host.transformers import KINDS, transformer

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")
TEXT = "a red cat beside a house"


@pytest.fixture(scope="module")
def clip() -> comfy.sd.CLIP:
    return models.text_encoder()


def wrapped(model: Any, **inputs: Any) -> ModelPatcher:
    with torch.inference_mode():
        found: ModelPatcher = EraseWhileSampling.execute(model, **inputs).args[0]
        return found


def drawn(model: Any, clip: Any, shape: tuple[int, ...] = (1, 4, 8, 8), cfg: float = 3.0, steps: int = 3) -> Tensor:
    """What Euler's sampler of the host gives."""
    with torch.no_grad():
        encoder = ClipEncoder(clip)
        positive, negative = encoder.conditioning(TEXT), encoder.conditioning("house")
        latent = torch.zeros(shape)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        found: Tensor = comfy.sample.sample(
            model, noise, steps, cfg, "euler", "normal", positive, negative, latent, disable_pbar=True, seed=1
        )
        return found


def edit_of(model: Any, clip: Any, names: str = "cat") -> Any:
    with torch.inference_mode():
        return EraseConcepts.execute(model, clip, names, method="uce", preset="objects").args[1]


class Values:
    """A patch such as IP-Adapter's, which takes the place of an attention: it keeps the values that it is given."""

    def __init__(self, model: ModelPatcher) -> None:
        self.seen: list[tuple[Any, list[int], Tensor]] = []
        self.model = model.clone()
        for block in (("input", 1), ("input", 2), ("middle", 0)):
            self.model.set_model_attn2_replace(self, *block, 0)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: Any) -> Tensor:
        self.seen.append((options["block"], options["cond_or_uncond"], v.clone()))
        return torch.zeros_like(q)


def test_values_are_without_the_names_and_the_start_is_left_alone(clip: comfy.sd.CLIP) -> None:
    """And a patch that replaces the attention is given them."""
    watch = Values(models.unet())
    drawn(watch.model, clip)
    before, watch.seen = watch.seen, []
    drawn(wrapped(watch.model, clip=clip, concepts="cat\nred house"), clip)
    assert len(before) == len(watch.seen) > 0
    encoder, network = ClipEncoder(clip), watch.model.model.diffusion_model
    with torch.inference_mode():
        states = torch.stack(
            [encoder.encode([text], silent)[0, place] for text, place in (("cat", 1), ("red house", 2))]
        )
        layers = {("input", 1): network.input_blocks[1], ("middle", 0): network.middle_block}
        for (block, _, old), (_, _, new) in zip(before, watch.seen, strict=True):
            assert torch.equal(new[:, ::77], old[:, ::77])
            if tuple(block[:2]) in layers:
                to_v = layers[tuple(block[:2])][1].transformer_blocks[0].attn2.to_v
                wanted = without(old, *directions(to_v(states)), 1.0, gate=False)
                assert (new - wanted)[:, 1:].abs().max() < 1e-5 and (new - old)[:, 1:].abs().max() > 1e-3


@pytest.mark.parametrize(("conditioning", "changed"), [("positive", 0), ("negative", 1)])
def test_only_the_prompts_that_are_meant_are_changed(clip: comfy.sd.CLIP, conditioning: str, changed: int) -> None:
    watch = Values(models.unet())
    drawn(watch.model, clip)
    before, watch.seen = watch.seen, []
    drawn(wrapped(watch.model, clip=clip, concepts="cat", conditioning=conditioning), clip, steps=3)
    first = before[0]
    for (_, which, old), (_, _, new) in zip(before[:3], watch.seen[:3], strict=True):  # the first call of the model
        for place, kind in enumerate(which):
            rows = slice(place * len(old) // len(which), (place + 1) * len(old) // len(which))
            assert torch.equal(old[rows], new[rows]) == (kind != changed)
    assert sorted(first[1]) == [0, 1]


def test_both_means_every_prompt_that_a_sampler_has(clip: comfy.sd.CLIP) -> None:
    """DualCFGGuider has three, the positive one last."""

    def three(model: ModelPatcher) -> list[tuple[Any, list[int], Tensor]]:
        watch = Values(model)
        guider = Guider_DualCFG(watch.model)
        encoder = ClipEncoder(clip)
        guider.set_conds(*(encoder.conditioning(text) for text in (TEXT, "a cat", "house")))
        guider.set_cfg(3.0, 2.0)
        noise, sigmas = torch.randn(1, 4, 8, 8), torch.tensor([5.0, 0.0])
        with torch.no_grad():
            guider.sample(noise, torch.zeros_like(noise), comfy.samplers.sampler_object("euler"), sigmas)
        return watch.seen

    plain, changed = (three(one) for one in (models.unet(), wrapped(models.unet(), clip=clip, concepts="cat")))
    moved: dict[int, bool] = {}
    for (_, which, old), (_, _, new) in zip(plain, changed, strict=True):
        for place, kind in enumerate(which):
            rows = slice(place * len(old) // len(which), (place + 1) * len(old) // len(which))
            moved[kind] = moved.get(kind, False) or not torch.equal(old[rows], new[rows])
    assert moved == {0: True, 1: True, 2: True}


def test_names_behind_an_edit_are_those_of_the_edited_model(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    edit = edit_of(model, clip)
    both = wrapped(wrapped(model, edit=edit), clip=clip, concepts="dog")
    wanted = drawn(wrapped(apply_edit(model, edit, 1.0), clip=clip, concepts="dog"), clip)
    assert (drawn(both, clip) - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_a_schedule_that_is_changed_behind_it_is_the_one_that_counts() -> None:
    model, encoder, shape = transformer("wan"), KINDS["wan"].encoder(), KINDS["wan"].latent
    edit = edit_of(model, encoder)

    def shifted(one: ModelPatcher) -> ModelPatcher:
        return ModelSamplingSD3().patch(one, 12.0)[0]

    first, last = (
        wrapped(shifted(model), edit=edit, end_percent=0.5),
        shifted(wrapped(model, edit=edit, end_percent=0.5)),
    )
    assert torch.equal(drawn(first, encoder, shape, steps=6), drawn(last, encoder, shape, steps=6))


@pytest.mark.parametrize("lowvram", [False, True])
def test_an_edit_all_the_way_is_the_edit(clip: comfy.sd.CLIP, lowvram: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if lowvram:
        monkeypatch.setattr(management, "vram_state", management.VRAMState.NO_VRAM)
    model = models.unet()
    edit = edit_of(model, clip)
    found, wanted = (
        drawn(one, clip) for one in (wrapped(model, edit=edit, strength=0.7), apply_edit(model, edit, 0.7))
    )
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert (found - drawn(model, clip)).abs().max() > 1e-3 * wanted.abs().max()


def test_outside_of_its_range_the_model_is_as_it_was(clip: comfy.sd.CLIP) -> None:
    """Two ranges that meet make up the whole; of one step by itself nothing is changed beyond it."""
    model = models.unet()
    edit, plain = edit_of(model, clip), drawn(model, clip)
    late = wrapped(model, edit=edit, start_percent=0.99)
    assert torch.equal(drawn(late, clip, steps=1), drawn(model, clip, steps=1))  # its one call is at the most noise
    early = wrapped(model, edit=edit, end_percent=0.5)
    rest = wrapped(early, edit=edit_of(model, clip, "dog"), start_percent=0.5)
    results = [drawn(one, clip) for one in (early, rest, wrapped(model, edit=edit))]
    assert all(not torch.equal(one, other) for one in results for other in [plain, *results] if one is not other)
    assert torch.equal(drawn(wrapped(model, edit=edit, strength=0.0), clip), plain)


def test_nothing_is_left_on_the_model(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.unet()
    kept, changed = models.snapshot(model), wrapped(model, clip=clip, concepts="cat")
    drawn(changed, clip)

    def hooks() -> int:
        return sum(len(layer._forward_hooks) for layer in model.model.modules())

    assert hooks() == 0 and models.same(models.snapshot(model), kept)
    monkeypatch.setattr(type(model.model.diffusion_model), "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drawn(changed, clip)
    assert hooks() == 0


def test_loras_before_and_after_count(clip: comfy.sd.CLIP) -> None:
    """Values are those of the weights that the model draws with."""
    model = models.unet()
    content = models.lora(model, seed=3)
    before = wrapped(models.with_lora(model, content, 0.8), clip=clip, concepts="cat")
    after = models.with_lora(wrapped(model, clip=clip, concepts="cat"), content, 0.8)
    first = drawn(before, clip)
    assert torch.equal(first, drawn(after, clip))
    drawn(wrapped(model, clip=clip, concepts="cat"), clip)  # another clone of the same change
    assert torch.equal(first, drawn(after, clip))


def test_it_stands_on_quantised_weights(clip: comfy.sd.CLIP) -> None:
    model, values = quantised.in_layout("float8_e4m3fn")
    clip_of = models.text_encoder(quantised.KIND)
    edit = edit_of(model, clip_of)
    assert set(values) >= set(edit.matrices)
    for changed in (wrapped(model, edit=edit), wrapped(model, clip=clip_of, concepts="cat")):
        assert drawn(changed, clip_of).isfinite().all()


@pytest.mark.parametrize("kind", ["pixart", "wan", "hunyuan dit", "ltxv"])
def test_other_families_forget_while_they_draw(kind: str) -> None:
    model, encoder, shape = transformer(kind), KINDS[kind].encoder(), KINDS[kind].latent
    plain = drawn(model, encoder, shape)
    changed = drawn(wrapped(model, clip=encoder, concepts="cat"), encoder, shape)
    assert changed.isfinite().all() and not torch.equal(changed, plain)
    edit = edit_of(model, encoder)
    found, wanted = (drawn(one, encoder, shape) for one in (wrapped(model, edit=edit), apply_edit(model, edit, 1.0)))
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_a_model_without_values_takes_an_edit_alone() -> None:
    model, encoder, shape = transformer("flux"), KINDS["flux"].encoder(), KINDS["flux"].latent
    with pytest.raises(ScaPreError, match=r"^model: Flux models have no values of a text alone"):
        wrapped(model, clip=encoder, concepts="cat")
    edit = edit_of(model, encoder)
    found, wanted = (drawn(one, encoder, shape) for one in (wrapped(model, edit=edit), apply_edit(model, edit, 1.0)))
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_values_of_one_vector_are_not_taken_for_those_of_tokens() -> None:
    """Stable Cascade's stage B."""
    with pytest.raises(ScaPreError, match=r"^model: Stable Cascade B models have no values of a text alone"):
        wrapped(test_cascade.stage("b"), clip=test_cascade.text_encoder(), concepts="cat")


def test_scheduled_weights_are_asked_as_they_are(clip: comfy.sd.CLIP) -> None:
    """A LoRA in a hook is part of the values while it is applied."""
    model = wrapped(models.unet(), clip=clip, concepts="cat")
    watch = Values(model)
    group = comfy.hooks.create_hook_lora(models.lora(models.unet(), seed=3), 0.9, 0.0)
    with torch.inference_mode():
        encoder = ClipEncoder(clip)
        positive = comfy.hooks.set_hooks_for_conditioning(encoder.conditioning(TEXT), group)
        shape = (1, 4, 8, 8)
        comfy.sample.sample(
            watch.model, torch.randn(shape), 2, 1.0, "euler", "normal", positive, encoder.conditioning(""),
            torch.zeros(shape), disable_pbar=True, seed=1,
        )  # fmt: skip
    plain = Values(models.with_lora(models.unet(), models.lora(models.unet(), seed=3), 0.9))
    drawn(wrapped(plain.model, clip=clip, concepts="cat"), clip, cfg=1.0, steps=2)
    assert (watch.seen[0][2] - plain.seen[0][2]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "^concepts: there are none, and no edit"),
        ({"concepts": "cat", "start_percent": 0.5, "end_percent": 0.5}, "^start_percent: 0.5 is not before"),
        ({"concepts": "cat", "start_percent": 0.8, "end_percent": 0.2}, "^start_percent: 0.8 is not before"),
        ({"concepts": "cat", "start_percent": -1.0}, "^start_percent: -1"),
        ({"concepts": "cat", "clip": None}, "^clip: it is missing"),
        ({"concepts": "\n".join(f"name {n}" for n in range(101))}, "^concepts: 101 are more"),
    ],
)
def test_what_makes_no_sense_is_refused(clip: comfy.sd.CLIP, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(ScaPreError, match=said):
        wrapped(models.unet(), **{"clip": clip, **inputs})


def test_names_and_an_edit_are_not_taken_together_and_no_edit_twice(clip: comfy.sd.CLIP) -> None:
    model = models.unet()
    edit = edit_of(model, clip)
    with pytest.raises(ScaPreError, match=r"^edit: names are typed, too"):
        wrapped(model, clip=clip, concepts="cat", edit=edit)
    with pytest.raises(ScaPreError, match=r"^edit: the model already carries this edit"):
        wrapped(apply_edit(model, edit, 1.0), edit=edit)
    with pytest.raises(ScaPreError, match=r"^edit: the model applies this edit while it is sampled"):
        apply_edit(wrapped(model, edit=edit), edit, 1.0)
    with pytest.raises(ScaPreError, match=r"^edit: it was made for SD1\.x models"):
        wrapped(transformer("wan"), edit=edit)


def test_compiled_models_are_refused_wherever_they_were_compiled(clip: comfy.sd.CLIP) -> None:
    def compiled(model: ModelPatcher) -> ModelPatcher:
        found = model.clone()
        found.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "torch.compile", lambda executor, *a, **k: executor(*a, **k))
        return found

    with pytest.raises(ScaPreError, match=r"^model: it is compiled"):
        wrapped(compiled(models.unet()), clip=clip, concepts="cat")
    with pytest.raises(ScaPreError, match=r"^model: it is compiled"):
        drawn(compiled(wrapped(models.unet(), clip=clip, concepts="cat")), clip)


def test_the_report_says_what_and_when(clip: comfy.sd.CLIP) -> None:
    with torch.inference_mode():
        report = EraseWhileSampling.execute(
            models.unet(), clip, "cat -> dog\n# none\nowl", start_percent=0.2, end_percent=0.8, conditioning="positive"
        ).args[1]
    assert report.startswith("# Erase While Sampling\n\n2 concepts taken out of the values of")
    assert (
        "20% to 80% of the sampling" in report and "the positive prompt" in report and "Anchors are not used" in report
    )
