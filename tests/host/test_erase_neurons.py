"""Erase Neurons on the host's own classes: it draws with the model, cuts weights, and leaves nothing behind."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.sample
import comfy.sd
import pytest
import torch
from comfy.model_patcher import ModelPatcher

from pack.benchmarks.minicanvas import checkpoint, inprocess
from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.erase_neurons import EraseNeurons
from pack.nodes.export_edit import ExportEdit
from pack.nodes.host import steps, trajectories, watching
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.sampling import Sampling, empty_latent
from pack.nodes.host.text_encoder import ClipEncoder
from pack.nodes.merge_edits import MergeEdits
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit, write_edit
from pack.tests.host import models
from pack.tests.host.models import CPU, KINDS, answer, loaded, same, snapshot, unet, untouched

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

FEW = {"size": 64, "steps": 4, "recorded": 2, "pairs": 3, "neuron_ratio": 0.05}
SEEN = [name for name in unet().model.state_dict() if name.endswith("ff.net.2.weight")]
DRAWN = Sampling(5, 4, 7.5, "euler", "normal", 64, 64)


def erase(model: ModelPatcher, clip: comfy.sd.CLIP, concepts: str = "cat\ndog", **more: Any) -> Any:
    with torch.inference_mode():  # as the host runs nodes
        return EraseNeurons.execute(model, clip, concepts, **(FEW | more)).result


def hooks(model: ModelPatcher) -> int:
    return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in model.model.modules())


def feed_forwards(model: ModelPatcher) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.model.state_dict().items() if name.endswith("ff.net.2.weight")}


@pytest.fixture(scope="module")
def edit(clip: comfy.sd.CLIP) -> Edit:
    return erase(unet(), clip)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_of_unets_is_cut(kind: str) -> None:
    vector = {"sdxl": {"adm_in_channels": 40 + 6 * 256}, "refiner": {"adm_in_channels": 40 + 5 * 256}}
    model, clip = unet(kind, **vector.get(kind, {})), models.text_encoder(kind)
    before, patches = snapshot(model), dict(model.patches)
    edited, edit, report = erase(model, clip)
    assert set(edit.shapes) == set(feed_forwards(model))
    assert untouched(model, before, patches) and not hooks(model)
    with loaded(edited) as network:
        weights = network.state_dict()
        for name, weight in before.items():
            if name not in edit.shapes:
                assert torch.equal(weights[name], weight)
                continue
            cut = edit.delta(name, weight) != 0
            assert int(cut.sum()) > 0 and weights[name][cut].count_nonzero() == 0
            assert torch.equal(weights[name][~cut], weight[~cut])
    assert "# Erased 2 concepts" in report and "answering" in report
    assert same(snapshot(model), before)


def test_a_step_at_a_time_is_the_whole_of_a_picture(clip: comfy.sd.CLIP) -> None:
    model = unet()
    texts = ["a cat", "a dog on a hill", "a hut"]
    draw = trajectories.HostTrajectories(model, clip, DRAWN, list(feed_forwards(model)), 2, None)
    with torch.inference_mode():
        draw.begin(texts, SEEN)
        for step in range(4):
            draw.advance([0, 2], step, lambda *_: None)
            draw.advance([1], step, lambda *_: None)
        encoder, empty = ClipEncoder(clip), empty_latent(model, DRAWN)
        for place, text in enumerate(texts):
            whole = comfy.sample.sample(
                model, comfy.sample.prepare_noise(empty, 5), 4, 7.5, "euler", "normal",
                encoder.conditioning(text), encoder.conditioning(""), empty, disable_pbar=True, seed=5,
            )  # fmt: skip
            assert (draw._latents[place] - whole).abs().max() < 1e-5 * whole.abs().max()  # rounding, in another batch


def test_only_the_layers_of_a_round_are_looked_into(clip: comfy.sd.CLIP) -> None:
    model, found = unet(), []
    draw = trajectories.HostTrajectories(model, clip, DRAWN, SEEN, 2, None)
    with torch.inference_mode():
        draw.begin(["a cat"], SEEN[::2])
        draw.advance([0], 0, lambda name, x, y: found.append(name))
    assert found == SEEN[::2] != SEEN


def test_what_is_seen_is_what_enters_and_leaves_the_layers_for_the_prompt(clip: comfy.sd.CLIP) -> None:
    model, found = unet(), {}
    names = list(feed_forwards(model))
    draw = trajectories.HostTrajectories(model, clip, DRAWN, names, 2, None)
    with torch.inference_mode():
        draw.begin(["a cat", "a dog"], SEEN)
        draw.advance([0, 1], 0, lambda name, x, y: found.update({name: (x, y)}))
    assert list(found) == names
    for name, (x, y) in found.items():
        weight = model.model.state_dict()[name]
        assert x.shape[0] == y.shape[0] == 2 and x.shape[-1] == weight.shape[1]
        torch.testing.assert_close(y, x @ weight.T, rtol=1e-4, atol=1e-5)
        assert (x[0] - x[1]).abs().max() > 1e-4  # from one noise, so that the prompts alone make the difference


def test_the_batch_makes_no_difference(clip: comfy.sd.CLIP, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pack.nodes.host.watching.fitting_batch", lambda *_: 1)
    single = erase(unet(), clip)[1]
    for own, other in zip(edit.payload.matrices.values(), single.payload.matrices.values(), strict=True):
        both = len(set(own["columns"].tolist()) ^ set(other["columns"].tolist()))
        assert both <= 1  # rounding may turn round two neighbours at the limit


@pytest.mark.parametrize("sampler", steps.SAMPLERS)
def test_a_step_is_seen_once_however_often_the_sampler_asks(
    clip: comfy.sd.CLIP, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, int] = {}
    draw = trajectories.HostTrajectories(unet(), clip, replace(DRAWN, sampler_name=sampler), SEEN, 2, None)
    with torch.inference_mode():
        draw.begin(["a cat", "a dog"], SEEN)
        for step in range(2):
            draw.advance([0, 1], step, lambda name, x, y: calls.update({name: calls.get(name, 0) + len(x)}))
    assert set(calls.values()) == {4} and len(calls) == len(SEEN)


def test_guidance_by_other_nodes_does_not_count(clip: comfy.sd.CLIP) -> None:
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    model, seen = PerturbedAttentionGuidance.execute(unet(), 3.0)[0], []
    draw = trajectories.HostTrajectories(model, clip, DRAWN, SEEN, 2, None)
    plain = trajectories.HostTrajectories(unet(), clip, DRAWN, SEEN, 2, None)
    with torch.inference_mode():
        for one in (draw, plain):
            one.begin(["a cat", "a dog"], SEEN)
            one.advance([0, 1], 0, lambda name, x, y: seen.append((name, x)))
    assert len(seen) == 2 * len(SEEN)
    for (name, guided), (other, without) in zip(seen[: len(SEEN)], seen[len(SEEN) :], strict=True):
        assert name == other and torch.equal(guided, without)


def test_a_wrapper_that_takes_the_batch_apart_is_refused(clip: comfy.sd.CLIP) -> None:
    model = unet().clone()

    def one_by_one(apply: Any, inputs: dict[str, Any]) -> torch.Tensor:
        given = dict(inputs["c"])
        parts = range(len(inputs["input"]))
        return torch.cat([
            apply(inputs["input"][i : i + 1], inputs["timestep"][i : i + 1],
                  **given | {"c_crossattn": given["c_crossattn"][i : i + 1]})
            for i in parts
        ])  # fmt: skip

    model.set_model_unet_function_wrapper(one_by_one)
    with pytest.raises(ScaPreError, match=r"something calls it with 1 pictures where 6 are drawn"):
        erase(model, clip)
    assert not hooks(model)


def test_a_schedule_with_fewer_steps_is_refused(clip: comfy.sd.CLIP) -> None:
    with pytest.raises(ScaPreError, match=r"scheduler: beta gives \d+ steps where 300 are asked for"):
        erase(unet(), clip, steps=300, scheduler="beta")


def test_an_edit_of_another_family_is_refused_though_the_layers_are_as_large(edit: Edit) -> None:
    other = unet("sd20", use_linear_in_transformer=False)
    with pytest.raises(ScaPreError, match=r"made for SD1\.x models .* this SD2\.x"):
        apply_edit(other, edit, 1.0)


def test_a_bias_that_a_lora_changes_is_no_part_of_the_answer(clip: comfy.sd.CLIP) -> None:
    name = SEEN[0]
    bias = f"{name.removesuffix('.weight')}.bias"
    model = unet().clone()
    model.add_patches({bias: ("diff", (torch.full_like(model.model.state_dict()[bias], 5.0),))})
    found: dict[str, Any] = {}
    for lowvram in (False, True):
        draw = trajectories.HostTrajectories(model, clip, DRAWN, SEEN, 2, None)
        with torch.inference_mode(), loaded(draw._model, lowvram=lowvram):
            draw.begin(["a cat"], SEEN)
            draw.advance([0], 0, lambda name, x, y: found.update({name: (x, y)}))
        x, y = found[name]
        torch.testing.assert_close(y, x @ unet().model.state_dict()[name].T, rtol=1e-4, atol=1e-4)


def test_sums_find_room_or_are_refused_with_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes = unet(), {"a": (500, 500), "b": (1000, 500), "c": (500, 500)}
    room = {"here": 100e6, "cpu": 100e6}
    monkeypatch.setattr(management, "get_free_memory", lambda device: room["cpu" if device == CPU else "here"])
    monkeypatch.setattr(model, "load_device", torch.device("meta"))
    assert watching.room_for_sums(model, shapes, 3, "exact", 1) == (None, 1)
    assert watching.room_for_sums(model, shapes, 20, "exact", 1) == (CPU, 1)
    assert watching.room_for_sums(model, shapes, 20, "exact", 2) == (None, 2)
    assert watching.room_for_sums(model, shapes, 30, "exact", 1) == (CPU, 2)
    assert watching.room_for_sums(model, shapes, 900, "released", 1) == (None, 1)
    assert watching.room_for_sums(model, shapes, 3, "exact", 1, here=False) == (CPU, 1)
    with pytest.raises(ScaPreError, match=r"concepts: 100 names.* need 0\.2 GB.* and 0\.1 GB are free.*Merge Edits"):
        watching.room_for_sums(model, shapes, 100, "exact", 1)


@pytest.mark.parametrize("saliency", ["exact", "released"])
def test_what_is_cut_is_the_same_in_any_number_of_rounds(clip: comfy.sd.CLIP, saliency: str) -> None:
    first, *others = (erase(unet(), clip, saliency=saliency, rounds=rounds)[1] for rounds in (1, 2, 3, 64))
    assert all(other.payload.same_as(first.payload) for other in others)


def test_prompts_are_encoded_once_for_all_rounds(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    before = trajectories.ClipEncoder.conditioning

    def counted(self: Any, text: str) -> Any:
        seen.append(text)
        return before(self, text)

    monkeypatch.setattr(trajectories.ClipEncoder, "conditioning", counted)
    erase(unet(), clip, rounds=3)
    assert len(seen) == len(set(seen)) > 3


def test_where_memory_is_short_there_are_more_rounds(
    clip: comfy.sd.CLIP, edit: Edit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    needed = sum(16 * weight.numel() for weight in feed_forwards(unet()).values())
    before = watching.room_for_sums

    def short(*asked: Any, **more: Any) -> Any:
        with monkeypatch.context() as here:
            here.setattr(management, "get_free_memory", lambda *_: 0.6 * needed)
            return before(*asked, **more)

    monkeypatch.setattr(watching, "SHARE", 0.0)
    monkeypatch.setattr("pack.nodes.host.watching.room_for_sums", short)
    with caplog.at_level(logging.WARNING, "scapre"):
        _, found, report = erase(unet(), clip)
    assert found.payload.same_as(edit.payload)
    told = "memory is short: all is drawn 2 times"
    assert [line for line in caplog.messages if line.startswith(told)] and told in report


def test_it_is_the_same_again(clip: comfy.sd.CLIP, edit: Edit) -> None:
    assert erase(unet(), clip)[1].payload.same_as(edit.payload)
    assert not erase(unet(), clip, seed=8)[1].payload.same_as(edit.payload)


def test_a_lora_before_it_is_drawn_with_and_cut(clip: comfy.sd.CLIP, edit: Edit) -> None:
    name = next(iter(edit.shapes))
    path = name.removesuffix(".weight")
    n, d = edit.shapes[name]
    generator = torch.Generator().manual_seed(4)
    content = {
        f"{path}.lora_up.weight": torch.randn(n, 2, generator=generator),
        f"{path}.lora_down.weight": torch.randn(2, d, generator=generator) / 8,
    }
    model = models.with_lora(unet(), content, 1.0)
    edited, own, _ = erase(model, clip)
    cut = own.delta(name, torch.ones(n, d)) != 0
    with loaded(edited) as network:
        assert network.state_dict()[name][cut].count_nonzero() == 0
    assert not own.payload.same_as(edit.payload)
    over = models.with_lora(apply_edit(unet(), edit, 1.0), content, 1.0)  # one after it adds its own on top
    cut = edit.delta(name, torch.ones(n, d)) != 0
    with loaded(over) as network:
        change = (content[f"{path}.lora_up.weight"] @ content[f"{path}.lora_down.weight"])[cut]
        torch.testing.assert_close(network.state_dict()[name][cut], change, rtol=0, atol=1e-6)


def test_it_stacks_with_a_closed_form_in_either_order(clip: comfy.sd.CLIP, edit: Edit) -> None:
    closed = EraseConcepts.execute(unet(), clip, "cat", method="uce", preset="objects").result[1]
    first = answer(apply_edit(apply_edit(unet(), closed, 1.0), edit, 1.0))
    second = answer(apply_edit(apply_edit(unet(), edit, 1.0), closed, 1.0))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)
    assert (first - answer(apply_edit(unet(), edit, 1.0))).abs().max() > 1e-4


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_strength_turns_the_weights_down(edit: Edit, strength: float) -> None:
    model = unet()
    before = snapshot(model)
    with loaded(apply_edit(model, edit, strength)) as network:
        for name in edit.shapes:
            cut = edit.delta(name, before[name]) != 0
            torch.testing.assert_close(network.state_dict()[name][cut], (1 - strength) * before[name][cut])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_is_cut_is_zero_in_half_precision(edit: Edit, dtype: torch.dtype) -> None:
    model = unet(dtype=dtype)
    with loaded(apply_edit(model, edit, 1.0)) as network:
        for name in edit.shapes:
            cut = edit.delta(name, torch.ones(edit.shapes[name])) != 0
            assert network.state_dict()[name][cut].count_nonzero() == 0


def test_it_is_merged_saved_and_exported(clip: comfy.sd.CLIP, edit: Edit, tmp_path: Path, monkeypatch: Any) -> None:
    other = erase(unet(), clip, "fox")[1]
    together = erase(unet(), clip, "cat\ndog\nfox")[1]
    _, merged, report = MergeEdits.execute(unet(), {"edit_1": edit, "edit_2": other}).result
    assert merged.payload.same_as(together.payload) and "fox" in report
    write_edit(merged, tmp_path / "e.safetensors")
    assert read_edit(tmp_path / "e.safetensors").payload.same_as(merged.payload)
    monkeypatch.setattr("folder_paths.get_output_directory", lambda: str(tmp_path))
    for form in ("diff", "lora"):
        told = ExportEdit.execute(unet(), merged, form, rank=4).result[0]
        assert "Residual" in told
    import comfy.utils

    content = comfy.utils.load_torch_file(str(next(tmp_path.rglob("scapre_00001*"))))
    model, cut = unet(), apply_edit(unet(), merged, 1.0)
    torch.testing.assert_close(answer(models.with_lora(model, content, 1.0)), answer(cut), rtol=0, atol=1e-5)


def test_an_arrow_is_told_to_have_no_part(clip: comfy.sd.CLIP) -> None:
    _, edit, report = erase(unet(), clip, "cat -> dog")
    assert [concept.anchor for concept in edit.concepts] == [""] and "nothing takes a name's place" in report


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"concepts": ""}, "concepts"),
        ({"sampler_name": "nonesuch"}, r'sampler_name: "nonesuch" is none that can be watched'),
        ({"scheduler": "nonesuch"}, r'scheduler: "nonesuch" is none that can be watched'),
        ({"sampler_name": "euler_ancestral"}, r"sampler_name: .* is none that can be watched"),
        ({"recorded": 9}, r"recorded: 9 steps are more"),
        ({"steps": 0}, r"steps: 0 is outside"),
        ({"recorded": 0}, r"recorded: 0 is outside"),
        ({"preset": "nonesuch"}, r'preset: "nonesuch" is unknown'),
        ({"concepts": "cat", "words": "cat"}, r"only everyday word"),
        ({"concepts": "cat", "preserve": "cat"}, r"preserve"),
        ({"concepts": "cat " * 90}, r"more than the 75 tokens"),
        *(
            ({"rounds": rounds}, rf"^rounds: {rounds} is no whole number from 1 to 64\. Give")
            for rounds in (0, -1, 2.5, None, 10**6)
        ),
        ({"seed": 2**64}, r"^seed: 18446744073709551616 is no seed"),
        ({"size": 7}, r"^size: 7 x 7 pixels are too small"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_drawn(
    clip: comfy.sd.CLIP, inputs: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfy.sample, "sample", lambda *_, **__: pytest.fail("it drew"))
    with pytest.raises(ScaPreError, match=words):
        erase(unet(), clip, **inputs)


def test_missing_inputs_are_named(clip: comfy.sd.CLIP) -> None:
    with pytest.raises(ScaPreError, match=r"^model: it is missing"):
        erase(None, clip)
    with pytest.raises(ScaPreError, match=r"^clip: it is missing"):
        erase(unet(), None)


def test_another_text_encoder_is_refused() -> None:
    with pytest.raises(ScaPreError, match=r"^clip: its states are"):
        erase(unet(), models.text_encoder("sd20"))


def test_a_compiled_model_is_refused(clip: comfy.sd.CLIP) -> None:
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    model = unet().clone()
    set_torch_compile_wrapper(model, backend="eager")
    with pytest.raises(ScaPreError, match=r"it is compiled \(torch.compile\)"):
        erase(model, clip)
    assert not hooks(model)


def test_a_model_that_gives_nan_is_refused_and_left_alone(clip: comfy.sd.CLIP) -> None:
    model = unet()
    name = next(name for name in model.model.state_dict() if name.endswith("ff.net.0.proj.bias"))
    model.model.state_dict()[name].fill_(float("nan"))
    with pytest.raises(ScaPreError, match=r"model: it gave NaN or infinity"):
        erase(model, clip)
    assert not hooks(model)


def test_weights_that_do_not_give_their_values_are_refused(clip: comfy.sd.CLIP) -> None:
    model = unet()
    name = next(iter(feed_forwards(model)))
    layer = model.model.get_submodule(name.removesuffix(".weight"))
    layer.weight = torch.nn.Parameter(layer.weight.detach().to(torch.int8), requires_grad=False)
    with pytest.raises(ScaPreError, match="is quantised"):
        erase(model, clip)


@pytest.mark.parametrize("at", [0, 3, 40])
def test_cancel_stops_and_leaves_nothing(clip: comfy.sd.CLIP, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = unet(), 0
    before = snapshot(model)

    def interrupt() -> None:
        nonlocal asked
        asked += 1
        if asked > at:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupt)
    with pytest.raises(management.InterruptProcessingException):
        erase(model, clip)
    monkeypatch.undo()
    assert not hooks(model) and same(snapshot(model), before)


def test_fewer_are_drawn_at_once_where_memory_runs_out(
    clip: comfy.sd.CLIP, edit: Edit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sample, counts, where = steps.comfy.sample.sample, [], []

    def tight(model: Any, noise: Any, *rest: Any, **more: Any) -> Any:
        counts.append(len(noise))
        where.append(draws[-1]._device)
        if len(noise) > 1 or len(draws) < 3:
            raise torch.OutOfMemoryError("no memory left")
        return sample(model, noise, *rest, **more)

    draws: list[Any] = []

    class Watched(trajectories.HostTrajectories):
        def __init__(self, *inputs: Any) -> None:
            super().__init__(*inputs)
            draws.append(self)

    monkeypatch.setattr("pack.nodes.host.watching.HostTrajectories", Watched)
    monkeypatch.setattr("pack.nodes.host.watching.fitting_batch", lambda *_: 3)
    monkeypatch.setattr(steps.comfy.sample, "sample", tight)
    with caplog.at_level(logging.WARNING, "scapre"):
        found = erase(unet(), clip)[1]
    assert counts[:3] == [3, 1, 1] and where[2] == CPU
    assert [record.message for record in caplog.records].count(
        "not enough memory to draw as many pictures at once; drawing fewer, and then on the CPU"
    ) == 1
    assert found.shapes == edit.shapes


def test_what_memory_never_suffices_for_is_raised(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(steps.comfy.sample, "sample", never)
    with pytest.raises(torch.OutOfMemoryError):
        erase(unet(), clip)


def test_minicanvas_from_end_to_end() -> None:
    minicanvas = inprocess.load(checkpoint.shipped())
    before = snapshot(minicanvas.model)
    few = {"size": 64, "steps": 20, "recorded": 2, "pairs": 3, "neuron_ratio": 0.01, "words": "star; house; fish"}
    edited, edit, _ = erase(minicanvas.model, minicanvas.clip, "Arlo Vane", preset="style", **few)
    assert sum(len(own["columns"]) for own in edit.payload.matrices.values()) > 100
    with loaded(edited) as network:
        for name in edit.shapes:
            cut = edit.delta(name, before[name].float()) != 0
            assert network.state_dict()[name][cut].count_nonzero() == 0
    assert same(snapshot(minicanvas.model), before)
    assert replace(edit.settings, words="").sampler_name == "euler"


def test_the_report_tells_what_was_drawn_and_what_strength_1_does(clip: comfy.sd.CLIP) -> None:
    _, edit, report = erase(unet(), clip, strength=0.5, pairs=9, words="star; house")
    assert edit.described in report and "9 pairs" in report and f"seed {edit.seed}" in report
    assert "2 pairs of each name, and not 9" in report
    assert "a strength of 1 cuts" in report and "a strength of 1 sets to zero" in report and "zero now" not in report


def test_sums_that_go_to_the_cpu_ask_for_room_there(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    before = watching.room_for_sums

    def room(*inputs: Any, here: bool = True) -> Any:
        asked.append(here)
        return before(*inputs, here=here)

    def never(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr("pack.nodes.host.watching.room_for_sums", room)
    monkeypatch.setattr(steps.comfy.sample, "sample", never)
    with pytest.raises(torch.OutOfMemoryError):
        erase(unet(), clip)
    assert asked == [True, False]
