"""Unlearn Concepts on the host's own classes: it trains a copy, and gives an edit of the model that it leaves alone."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.model_management as management
import comfy.sd
import comfy.supported_models as supported
import folder_paths
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from safetensors.torch import load_file

from pack.benchmarks.minicanvas import checkpoint, inprocess
from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.export_edit import ExportEdit
from pack.nodes.host import denoiser as hosts
from pack.nodes.host import memory, training
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.progress import HostProgress
from pack.nodes.host.sampling import Sampling
from pack.nodes.host.text_encoder import ClipEncoder
from pack.nodes.merge_edits import MergeEdits
from pack.nodes.unlearn import Unlearn
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.edits.hide import hide_names
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit
from pack.scapre.methods import METHODS
from pack.scapre.methods.kscu import Settings
from pack.scapre.methods.kscu.denoiser import TextNoise
from pack.scapre.methods.kscu.factors import make
from pack.scapre.methods.kscu.prompts import lessons
from pack.scapre.methods.kscu.train import Trainer
from pack.tests.host import models
from pack.tests.host.models import KINDS, answer, loaded, same, snapshot, unet, untouched

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

FEW = {
    "size": 64, "steps": 6, "first": 2, "iterations": 4, "rank": 2, "learning_rate": 0.01, "preview_every": 0,
    "hold": 0.0,
}  # fmt: skip
SAMPLING = Sampling(0, 6, 3.0, "euler", "normal", 64, 64)


def reloadable(kind: str = "sd15", **more: Any) -> ModelPatcher:
    """A MODEL that the host can load a second time, as its loaders leave it."""
    model = unet(kind, **more)
    model.cached_patcher_init = (_again, (kind, more))
    return model


def _again(kind: str, more: dict[str, Any], disable_dynamic: bool = False) -> ModelPatcher:
    return unet(kind, **more)


def unlearn(model: ModelPatcher, clip: comfy.sd.CLIP, concepts: str = "cat", **more: Any) -> Any:
    with torch.inference_mode():  # as the host runs nodes
        return Unlearn.execute(model, clip, concepts, **(FEW | more)).result


def texts(clip: comfy.sd.CLIP) -> dict[str, Any]:
    return {text: ClipEncoder(clip).conditioning(text) for text in ("", "cat")}


@pytest.fixture(scope="module")
def edit(clip: comfy.sd.CLIP) -> Edit:
    return unlearn(reloadable(), clip)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_of_unets_is_trained(kind: str) -> None:
    vector = {"sdxl": {"adm_in_channels": 40 + 6 * 256}, "refiner": {"adm_in_channels": 40 + 5 * 256}}
    model, clip = reloadable(kind, **vector.get(kind, {})), models.text_encoder(kind)
    before, patches = snapshot(model), dict(model.patches)
    edited, edit, report = unlearn(model, clip, "cat\ndog -> wolf", layers="all")
    assert untouched(model, before, patches) and not management.in_training
    assert "# Erased 2 concepts" in report and "iterations 4" in report
    with loaded(edited) as network:
        weights = network.state_dict()
        for name, weight in before.items():
            change = weights[name] - weight
            assert bool(change.count_nonzero()) == (name in edit.shapes)
            if name in edit.shapes:
                wanted = edit.delta(name, weight.flatten(1)).view(weight.shape)
                assert torch.allclose(change, wanted, atol=1e-6)
    assert same(snapshot(model), before)


def test_all_matrices_of_the_blocks_are_trained_and_no_others(clip: comfy.sd.CLIP, edit: Edit) -> None:
    rest = unlearn(reloadable(), clip, preset="class", iterations=1)[1]
    weights = {name: value for name, value in unet().model.state_dict().items() if value.ndim > 1}
    outside = {name for name in weights if any(part in name for part in (".time_embed.", ".label_emb.", "model.out."))}
    assert set(edit.shapes) | set(rest.shapes) == set(weights) - outside
    assert not set(edit.shapes) & set(rest.shapes)
    assert all(".attn2." in name for name in edit.shapes)


def test_the_copy_predicts_what_the_host_does(clip: comfy.sd.CLIP) -> None:
    model = reloadable()
    with torch.inference_mode(False), torch.no_grad(), hosts.HostDenoiser(model, texts(clip), SAMPLING, []) as copy:
        latents = copy.start(torch.randn(1, 4, 8, 8))
        found = copy.predict(latents, 2, ["cat"])
        noisy = copy.predict(latents, 2, ["cat"], TextNoise(0.5, 1))
    with torch.inference_mode(), loaded(model) as network:
        states = clip.encode_from_tokens_scheduled(clip.tokenize("cat"))[0][0]
        sigma = torch.tensor([copy.sigmas[2]])
        clean = network.apply_model(latents, sigma, c_crossattn=states)
    assert torch.allclose(found, (latents - clean) / sigma, atol=1e-5)
    assert (noisy - found).abs().max() > 1e-3
    assert copy.sigmas[-1] == 0 and len(copy.timesteps) == 6 and copy.timesteps[0] == pytest.approx(999)


def test_patches_before_the_node_are_in_the_copy(clip: comfy.sd.CLIP, edit: Edit) -> None:
    plain, patched = reloadable(), apply_edit(reloadable(), edit, 1.0)
    found = []
    for model in (plain, patched):
        with torch.inference_mode(False), torch.no_grad(), hosts.HostDenoiser(model, texts(clip), SAMPLING, []) as copy:
            found.append(copy.predict(torch.ones(1, 4, 8, 8), 3, ["cat"]))
    assert (found[0] - found[1]).abs().max() > 1e-6


@pytest.mark.parametrize("rank", [0, 3])
def test_saving_memory_changes_no_gradient(clip: comfy.sd.CLIP, rank: int) -> None:
    model, names = reloadable(), [name for name in unet().model.state_dict() if name.endswith("attn2.to_q.weight")]
    shapes = {name: tuple(unet().model.state_dict()[name].shape) for name in names}
    found = []
    for saving in (False, True):
        trained = make(shapes, rank, 0)
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            hosts.HostDenoiser(model, texts(clip), SAMPLING, names) as copy,
        ):
            if saving:
                copy.save_memory()
            with copy.with_factors(trained):
                copy.predict(torch.ones(1, 4, 8, 8), 3, ["cat"]).square().mean().backward()
            gradients = [parameter.grad for part in trained.values() for parameter in part.parameters()]
            found.append([gradient.clone() for gradient in gradients])
    assert any(gradient.abs().max() > 0 for gradient in found[0])
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(*found, strict=True))


def test_the_same_seed_gives_the_same_edit(clip: comfy.sd.CLIP, edit: Edit) -> None:
    assert unlearn(reloadable(), clip)[1].payload.same_as(edit.payload)
    assert not unlearn(reloadable(), clip, seed=1)[1].payload.same_as(edit.payload)


def test_cancel_keeps_what_is_trained_and_it_goes_on_from_there(
    clip: comfy.sd.CLIP, edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    said: list[str] = []
    monkeypatch.setattr(HostProgress, "say", lambda self, text: said.append(text))
    show = HostProgress.__call__

    def cancelled(self: HostProgress, stage: str, done: int, total: int) -> None:
        if (stage, done) == ("training", 2):
            management.interrupt_current_processing()
        show(self, stage, done, total)

    monkeypatch.setattr(HostProgress, "__call__", cancelled)
    model = reloadable()
    before = snapshot(model)
    with pytest.raises(management.InterruptProcessingException):
        unlearn(model, clip)
    monkeypatch.setattr(HostProgress, "__call__", show)
    kept = read_edit(tmp_path / "scapre" / "unfinished_00001_.safetensors")
    assert "scapre/unfinished_00001_.safetensors" in said[-1] and "resume" in said[-1]
    assert int(kept.payload.shared["done"]) == 2 and same(snapshot(model), before)
    assert any("stopped after 2 of 4 iterations" in note for note in kept.report.notes)
    assert not management.in_training and not management.processing_interrupted()
    assert unlearn(model, clip, resume=kept)[1].payload.same_as(edit.payload)


def test_cancel_before_the_first_iteration_leaves_nothing(
    clip: comfy.sd.CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        unlearn(reloadable(), clip)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"concepts": "dog"}, "other names"),
        ({"seed": 3}, "the seed 0"),
        ({"rank": 3}, "rank 2"),
        ({"guidance": 5.0}, "guidance 3.0"),
        ({"model": 1}, "other weights"),
    ],
)
def test_what_does_not_belong_together_is_not_resumed(
    clip: comfy.sd.CLIP, edit: Edit, more: dict[str, Any], says: str
) -> None:
    model = reloadable(seed=more.pop("model", 0))
    with pytest.raises(ScaPreError, match=f"resume: .*{says}"):
        unlearn(model, clip, **{"concepts": "cat", **more, "resume": edit})


def test_more_iterations_may_follow(clip: comfy.sd.CLIP, edit: Edit) -> None:
    longer = unlearn(reloadable(), clip, resume=edit, iterations=6, learning_rate=0.001)[1]
    assert int(longer.payload.shared["done"]) == 6


def test_preserved_names_and_neighbours_are_held(clip: comfy.sd.CLIP, edit: Edit, monkeypatch: Any) -> None:
    held: list[tuple[str, ...]] = []
    draw = training.Trainer

    def trainer(denoiser: Any, trained: Any, found: Any, names: Any, *more: Any) -> Trainer:
        held.append(tuple(names))
        return draw(denoiser, trained, found, names, *more)

    monkeypatch.setattr(training, "Trainer", trainer)
    kept = unlearn(reloadable(), clip, preserve="dog\nhut", hold=2.0, neighbours=3)[1]
    assert held[0][:2] == ("dog", "hut") and 2 <= len(held[0]) <= 5
    assert not kept.payload.same_as(edit.payload)
    assert any("hold is 0" in note for note in unlearn(reloadable(), clip, preserve="dog")[1].report.notes)


def test_a_name_that_fills_the_window_is_trained_though_its_variants_are_longer(clip: comfy.sd.CLIP) -> None:
    edit = unlearn(reloadable(), clip, " ".join(["cat"] * 75), augmented=1.0)[1]
    assert int(edit.payload.shared["done"]) == 4
    with pytest.raises(ScaPreError, match="needs more than the 75 tokens"):
        unlearn(reloadable(), clip, " ".join(["cat"] * 76))


def test_previews_are_shown_before_and_after(clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(HostProgress, "show", lambda self, picture: shown.append(picture))
    unlearn(reloadable(), clip, preview_every=2)
    assert len(shown) == 2
    for kind, picture, _ in shown:
        width, height = picture.size
        assert kind == "JPEG" and height >= 192 and width > 2 * height
        left, right = picture.crop((0, 0, height, height)), picture.crop((width - height, 0, width, height))
        assert left.tobytes() != right.tobytes()
    first = [picture.crop((0, 0, picture.size[1], picture.size[1])).tobytes() for _, picture, _ in shown]
    assert first[0] == first[1]  # before stays as it was
    shown.clear()
    unlearn(reloadable(), clip, preview_every=0)
    assert not shown


def test_a_lora_of_it_does_the_same_in_the_host(clip: comfy.sd.CLIP, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    model = reloadable()
    edit = unlearn(model, clip, layers="all")[1]
    with torch.inference_mode():
        ExportEdit.execute(model, edit, "lora", dtype="fp32")
    [file] = tmp_path.rglob("*.safetensors")
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    patches = comfy.lora.load_lora(load_file(file), keys)
    assert set(patches) == set(edit.shapes)
    clone = model.clone()
    clone.add_patches(patches, 1.0)
    with loaded(clone) as network:
        weights = {name: network.state_dict()[name].clone() for name in edit.shapes}
    with loaded(apply_edit(model, edit, 1.0)) as network:
        for name, weight in weights.items():
            assert torch.allclose(network.state_dict()[name], weight, atol=1e-6)


def test_it_stacks_with_other_edits(clip: comfy.sd.CLIP, edit: Edit) -> None:
    model = reloadable()
    with torch.inference_mode():
        first = EraseConcepts.execute(model, clip, "dog", method="uce").result[1]
    for one, two in ((first, edit), (edit, first)):
        under = apply_edit(model, one, 1.0)
        both = answer(apply_edit(under, two, 1.0))
        assert both.isfinite().all() and (both - answer(under)).abs().max() > 0


def test_merged_edits_add_up(clip: comfy.sd.CLIP, edit: Edit) -> None:
    model = reloadable()
    other = unlearn(model, clip, "dog", seed=4)[1]
    with torch.inference_mode():
        both = MergeEdits.execute(model, {"edit_1": edit, "edit_2": other}).result[1]
    assert [concept.text for concept in both.concepts] == ["cat", "dog"]
    with pytest.raises(ScaPreError, match="does not keep what training needs"):
        unlearn(model, clip, "cat\ndog", resume=replace(both, seed=0))


def test_a_model_that_cannot_be_loaded_again_is_refused(clip: comfy.sd.CLIP) -> None:
    with pytest.raises(ScaPreError, match=r"SD15 model cannot load it a second time.*Load Checkpoint"):
        unlearn(unet(), clip)


def test_memory_is_told_and_refused(
    clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "scapre"):
        unlearn(reloadable(), clip, iterations=1)
    assert "for a second copy of the model" in caplog.text
    monkeypatch.setattr(memory.management, "get_free_memory", lambda *_: 1000)
    with pytest.raises(ScaPreError, match=r"training it needs 0.00 GB.*take a smaller rank"):
        unlearn(reloadable(), clip)
    with pytest.raises(ScaPreError, match="give a rank above 0"):
        unlearn(reloadable(), clip, rank=0)


def test_out_of_memory_is_tried_once_more_with_less(
    clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predict, batches = hosts.HostDenoiser.predict, []

    def full(self: Any, latents: Any, *inputs: Any) -> Any:
        batches.append(len(latents))
        if torch.is_grad_enabled() and len(latents) > 2:
            raise torch.cuda.OutOfMemoryError("full")
        return predict(self, latents, *inputs)

    monkeypatch.setattr(hosts.HostDenoiser, "predict", full)
    edit = unlearn(reloadable(), clip, batch=2)[1]
    assert int(edit.payload.shared["done"]) == 4 and "batch of 1" in caplog.text
    assert edit.settings.batch == 1 and edit.settings.checkpointing
    assert any("memory was full" in note for note in edit.report.notes)
    again = unlearn(reloadable(), clip, batch=1, checkpointing="on", iterations=6, resume=edit)[1]
    assert int(again.payload.shared["done"]) == 6
    with pytest.raises(ScaPreError, match="not even with gradient checkpointing and a batch of 2"):
        unlearn(reloadable(), clip, batch=4)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"clip": None}, "clip: it is missing"),
        ({"first": 6}, "outside the steps of a picture"),
        ({"scheduler": "nope"}, "there is no .nope"),
        ({"concepts": ""}, "concepts"),
        ({"size": 8}, "size"),
        ({"preset": "nope"}, "preset"),
    ],
)
def test_bad_input_is_refused(clip: comfy.sd.CLIP, more: dict[str, Any], says: str) -> None:
    given = {"clip": clip, "concepts": "cat", **more}
    with pytest.raises(ScaPreError, match=says):
        unlearn(reloadable(), given.pop("clip"), **given)


def test_memory_that_is_full_later_costs_nothing_that_is_learned(clip: comfy.sd.CLIP, monkeypatch: Any) -> None:
    predict, calls = hosts.HostDenoiser.predict, []

    def full(self: Any, *inputs: Any) -> Any:
        calls.append(torch.is_grad_enabled())
        if torch.is_grad_enabled() and sum(calls) == 3:
            raise torch.cuda.OutOfMemoryError("full")
        return predict(self, *inputs)

    monkeypatch.setattr(hosts.HostDenoiser, "predict", full)
    edit = unlearn(reloadable(), clip)[1]
    assert int(edit.payload.shared["done"]) == 4 and sum(calls) == 5  # four iterations, and the one that failed


def test_whatever_ends_a_run_keeps_what_is_learned(
    clip: comfy.sd.CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    predict, calls = hosts.HostDenoiser.predict, []

    def broken(self: Any, *inputs: Any) -> Any:
        calls.append(torch.is_grad_enabled())
        if torch.is_grad_enabled() and sum(calls) == 3:
            raise RuntimeError("the device is gone")
        return predict(self, *inputs)

    monkeypatch.setattr(hosts.HostDenoiser, "predict", broken)
    with pytest.raises(RuntimeError, match="the device is gone"):
        unlearn(reloadable(), clip)
    kept = read_edit(tmp_path / "scapre" / "unfinished_00001_.safetensors")
    assert int(kept.payload.shared["done"]) == 2 and not management.in_training


def test_an_edit_that_cannot_go_on_says_why(clip: comfy.sd.CLIP, edit: Edit) -> None:
    with pytest.raises(ScaPreError, match="resume: it has 4 iterations already"):
        unlearn(reloadable(), clip, resume=edit)
    with pytest.raises(ScaPreError, match="include_names off"):
        unlearn(reloadable(), clip, iterations=6, resume=hide_names(edit))
    with torch.inference_mode():
        other = EraseConcepts.execute(reloadable(), clip, "cat", method="uce").result[1]
    with pytest.raises(ScaPreError, match="resume: it was made with the method UCE"):
        unlearn(reloadable(), clip, resume=other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_trained_too(clip: comfy.sd.CLIP, dtype: torch.dtype) -> None:
    edit = unlearn(reloadable(dtype=dtype), clip)[1]
    assert all(tensor.isfinite().all() for tensor in edit.payload)
    assert all(own["up"].dtype == torch.float32 and own["up"].abs().max() > 0 for own in edit.payload.matrices.values())


def test_minicanvas_forgets_what_it_is_trained_to() -> None:
    model = inprocess.load(checkpoint.shipped())
    before = snapshot(model.model)
    edit = unlearn(
        model.model,
        model.clip,
        "Anna Moreau",
        steps=20,
        first=10,
        iterations=25,
        rank=8,
        learning_rate=1e-3,
        hold=2.0,
    )[1]
    assert same(snapshot(model.model), before)
    assert edit.solver.remaining(edit.payload)[0] < 0.8


def pixart() -> ModelPatcher:
    """A small PixArt, which predicts noise and its variance."""
    config = supported.PixArtAlpha({
        "image_model": "pixart_alpha", "input_size": 32, "hidden_size": 32, "num_heads": 2, "depth": 2,
        "caption_channels": 24, "model_max_length": 120, "in_channels": 4, "micro_condition": False,
        "pe_interpolation": 1, "pred_sigma": True, "patch_size": 2,
    })  # fmt: skip
    return transformer(config)


def wan() -> ModelPatcher:
    """A small Wan, which flows, in latents of five dimensions."""
    config = supported.WAN21_T2V({
        "image_model": "wan2.1", "model_type": "t2v", "dim": 32, "ffn_dim": 64, "num_heads": 2, "num_layers": 2,
        "text_dim": 24, "in_dim": 16, "out_dim": 16, "freq_dim": 32,
    })  # fmt: skip
    return transformer(config)


def transformer(config: Any) -> ModelPatcher:
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=models.CPU)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # norms too: the host leaves them unset
            spread = 0.3 / parameter.shape[-1] ** 0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator) + (parameter.ndim == 1))
    found = models.patcher(model)
    found.cached_patcher_init = (lambda config, **_: transformer(config), (config,))
    return found


@pytest.mark.parametrize(("make_model", "pixels"), [(pixart, 512), (wan, 64)])
def test_the_trainer_takes_transformers_whose_text_stays(make_model: Any, pixels: int) -> None:
    model, generator = make_model(), torch.Generator().manual_seed(1)
    weights = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    cross = [name for name in weights if "cross_attn" in name and name.endswith("weight") and weights[name].ndim == 2]
    settings = Settings(steps=8, first=3, iterations=40, rank=2, learning_rate=3e-3, augmented=0.0)
    conditionings = {text: [[torch.randn(1, 12, 24, generator=generator), {}]] for text in ("", "cat")}
    found = lessons(parse_concepts("cat", "").concepts, settings.prompts, 0)
    sampling = Sampling(0, 8, 3.0, "", "normal", pixels, pixels)
    with torch.inference_mode(False), hosts.HostDenoiser(model, conditionings, sampling, cross) as copy:
        trainer = Trainer(copy, make({name: weights[name].shape for name in cross}, 2, 0), found, (), settings, 0)
        trainer.run(lambda *_: None)
        assert METHODS["kscu"].remaining(trainer.payload())[0] < 0.9
    assert all(torch.equal(weight, weights[name]) for name, weight in model.model.state_dict().items())
