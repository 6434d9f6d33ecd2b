"""Save Edit, Load Edit and Merge Edits: in the host's folders, on its models, and in a real server."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
import pytest
import safetensors.torch
import torch

from pack.benchmarks.host.base import add_checkpoint
from pack.benchmarks.host.client import Graph, PromptFailed, PromptRejected, cached_nodes
from pack.benchmarks.host.places import comfy_root
from pack.benchmarks.host.server import Server
from pack.nodes.apply_edit import ApplyEdit
from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.folders import edit_files
from pack.nodes.host.projections import HostProjections
from pack.nodes.load_edit import LoadEdit
from pack.nodes.merge_edits import MergeEdits
from pack.nodes.save_edit import SaveEdit
from pack.scapre.concepts.names import is_hidden
from pack.scapre.edits.fingerprint import sample
from pack.scapre.errors import ScaPreError
from pack.scapre.files import write_edit
from pack.tests.edit_files import same as same_edit
from pack.tests.edit_files import tiny_edit
from pack.tests.host.models import answer, lora, same, snapshot, tensors, unet, with_lora

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A base directory whose output folder and models/scapre the host uses."""
    output, held = tmp_path / "output", tmp_path / "models" / "scapre"
    output.mkdir()
    held.mkdir(parents=True)
    usual = folder_paths.get_output_directory()
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "scapre", ([str(held)], {".safetensors"}))
    folder_paths.filename_list_cache.pop("scapre", None)
    folder_paths.set_output_directory(str(output))
    yield tmp_path
    folder_paths.set_output_directory(usual)
    folder_paths.filename_list_cache.pop("scapre", None)


def run(node: Any, **inputs: Any) -> Any:
    """Executes a node as the host does."""
    with torch.inference_mode():
        return node.EXECUTE_NORMALIZED(**inputs)


def erase(model: Any, clip: comfy.sd.CLIP, concepts: str, **more: Any) -> tuple[Any, Any, str]:
    return run(EraseConcepts, model=model, clip=clip, concepts=concepts, **more).result


# --- save and load ---


def test_save_and_load_give_the_same_model(folder: Path, clip: comfy.sd.CLIP) -> None:
    model = unet()
    edited, edit, _ = erase(model, clip, "cat -> dog\nVincent van Gogh", preserve="tulip", preset="objects-many")
    shown = run(SaveEdit, edit=edit).ui
    assert shown["edits"] == [{"filename": "edit_00001_.safetensors", "subfolder": "scapre", "type": "output"}]
    assert "output/" not in shown["text"][0] and "scapre/edit_00001_.safetensors" in shown["text"][0]
    loaded, report = run(LoadEdit, file="edit_00001_.safetensors [output]").result
    assert same_edit(loaded, edit)
    assert same(tensors(loaded), tensors(edit))
    for said in ("cat", "Vincent van Gogh", "tulip", "SD1.x", "14 matrices", "scale", "seed 0"):
        assert said in report
    fresh = unet()
    outcome = run(ApplyEdit, model=fresh, edit=loaded)
    assert torch.equal(answer(outcome.result[0]), answer(edited))
    assert outcome.ui is None


def test_files_are_numbered_on_and_never_replaced(folder: Path) -> None:
    first, second = tiny_edit(), tiny_edit(ridge=2.0)
    for edit in (first, second, first):
        run(SaveEdit, edit=edit, filename_prefix="scapre/my list")
    names = sorted(path.name for path in (folder / "output" / "scapre").iterdir())
    assert names == [f"my list_{number:05}_.safetensors" for number in (1, 2, 3)]
    (loaded, _) = run(LoadEdit, file="my list_00002_.safetensors [output]").result
    assert loaded.settings.ridge == 2.0
    (folder / "output" / "scapre" / "my list_00001_.safetensors").unlink()
    run(SaveEdit, edit=first, filename_prefix="scapre/my list")
    assert (folder / "output" / "scapre" / "my list_00004_.safetensors").is_file()


def test_names_are_left_out_when_asked(folder: Path) -> None:
    run(SaveEdit, edit=tiny_edit(), include_names=False)
    path = folder / "output" / "scapre" / "edit_00001_.safetensors"
    assert not any(name in path.read_bytes() for name in (b"cat", b"dog", b"bird", b"fish"))
    edit, report = run(LoadEdit, file="edit_00001_.safetensors [output]").result
    assert all(is_hidden(concept.text) for concept in edit.concepts)
    assert "concept\xa01" in report and "hidden" in report


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "a/../../x", "", "..", "a\0b", "scapre/../../x"])
def test_a_prefix_cannot_lead_out_of_the_output_folder(folder: Path, prefix: str) -> None:
    with pytest.raises(ScaPreError, match="filename_prefix"):
        run(SaveEdit, edit=tiny_edit(), filename_prefix=prefix)
    assert list((folder / "output").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "output" / "taken").write_text("a file")
    with pytest.raises(ScaPreError, match=r"(filename_prefix|cannot be written)"):
        run(SaveEdit, edit=tiny_edit(), filename_prefix="taken/edit")
    assert (folder / "output" / "taken").read_text() == "a file"


def test_files_of_both_folders_are_offered(folder: Path) -> None:
    for place in ("models/scapre/a.safetensors", "models/scapre/deep/b.safetensors", "output/scapre/a.safetensors"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_edit(tiny_edit(), folder / place)
    (folder / "models/scapre/notes.txt").touch()
    (folder / "output/other.safetensors").touch()
    assert sorted(edit_files()) == ["a.safetensors", "a.safetensors [output]", "deep/b.safetensors"]
    options = LoadEdit.GET_NODE_INFO_V1()["input"]["required"]["file"][1]["options"]
    assert options == list(edit_files())
    for name, path in edit_files().items():
        assert path.is_file()
        assert LoadEdit.validate_inputs(name) is True


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "deep/../../../secret.safetensors [output]", "a\0", "", "none"]
)
def test_nothing_else_can_be_loaded(folder: Path, name: str) -> None:
    write_edit(tiny_edit(), folder / "secret.safetensors")
    assert "there is no edit" in str(LoadEdit.validate_inputs(name))
    with pytest.raises(ScaPreError, match="there is no edit"):
        run(LoadEdit, file=name)
    assert LoadEdit.fingerprint_inputs(file=name) == name


def test_a_link_out_of_the_output_folder_is_not_offered(folder: Path) -> None:
    write_edit(tiny_edit(), folder / "secret.safetensors")
    (folder / "output" / "scapre").mkdir()
    try:
        (folder / "output" / "scapre" / "link.safetensors").symlink_to(folder / "secret.safetensors")
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")
    assert edit_files() == {}


def test_a_changed_file_is_read_again(folder: Path) -> None:
    path = folder / "models" / "scapre" / "a.safetensors"
    write_edit(tiny_edit(), path)
    before = LoadEdit.fingerprint_inputs(file="a.safetensors")
    assert LoadEdit.fingerprint_inputs(file="a.safetensors") == before
    os.utime(path, ns=(1, 1))
    assert LoadEdit.fingerprint_inputs(file="a.safetensors") != before


# --- other weights ---


def test_other_weights_are_told_by_how_much(clip: comfy.sd.CLIP, caplog: pytest.LogCaptureFixture) -> None:
    edit = erase(unet(), clip, "cat")[1]
    changed = unet()
    generator = torch.Generator().manual_seed(3)
    for name in edit.shapes:
        weight = comfy.utils.get_attr(changed.model, name).data
        noise = torch.randn(weight.shape, generator=generator)
        weight += 0.1 * weight.norm() * noise / noise.norm()
    with caplog.at_level(logging.WARNING, "scapre"):
        outcome = run(ApplyEdit, model=changed, edit=edit)
    assert set(outcome.result[0].patches) == set(edit.shapes)
    (text,) = outcome.ui.as_dict()["text"]
    share = float(text.split("about ")[1].split("%")[0])
    assert share == pytest.approx(10, rel=0.1)
    assert text in caplog.text


def test_a_lora_before_the_node_counts_and_silence_means_the_same_weights(
    clip: comfy.sd.CLIP, caplog: pytest.LogCaptureFixture
) -> None:
    model = unet()
    with caplog.at_level(logging.WARNING, "scapre"):
        edit = erase(model, clip, "cat")[1]
        adapted = with_lora(model, lora(model, seed=1), 0.5)
        of_adapted = erase(adapted, clip, "cat")[1]
        for fitting, held in ((model, edit), (adapted, of_adapted), (unet(dtype=torch.float32), edit)):
            assert run(ApplyEdit, model=fitting, edit=held).ui is None
        assert caplog.text == ""
        assert run(ApplyEdit, model=adapted, edit=edit, strength=0.0).ui is None
        assert run(ApplyEdit, model=adapted, edit=edit).ui is not None
    assert "LoRA" in caplog.text


def test_a_sample_of_a_weight_is_that_of_the_whole_weight() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        model = unet(dtype=dtype)
        for fitted in (model, with_lora(model, lora(model, seed=1), 0.5)):
            projections = HostProjections(fitted)
            for name, values in projections.samples(projections.roles).items():
                assert torch.equal(values, sample(projections.read(name, torch.device("cpu"))))


def test_a_loaded_copy_is_not_applied_twice(folder: Path, clip: comfy.sd.CLIP) -> None:
    edited, edit, _ = erase(unet(), clip, "cat")
    for names in (True, False):
        run(SaveEdit, edit=edit, include_names=names)
    for number in (1, 2):
        loaded = run(LoadEdit, file=f"edit_{number:05}_.safetensors [output]").result[0]
        with pytest.raises(ScaPreError, match="already carries this edit"):
            run(ApplyEdit, model=edited, edit=loaded)


def test_a_name_that_is_cut_otherwise_here_is_told_when_an_edit_is_loaded_and_merged(
    folder: Path, clip: comfy.sd.CLIP
) -> None:
    model = unet()
    _, edit, _ = erase(model, clip, "cat\nZoë Kraus")
    tokens = {**edit.states.tokens, "Zoë Kraus": "1 2 3"}
    elsewhere = replace(edit, states=replace(edit.states, tokens=tokens))
    for one in (edit, elsewhere):
        run(SaveEdit, edit=one)
    assert "other tokens" not in run(LoadEdit, file="edit_00001_.safetensors [output]").result[1]
    loaded, report = run(LoadEdit, file="edit_00002_.safetensors [output]").result
    assert 'this installation cuts "Zoë Kraus" into other tokens' in report and '"cat"' not in report
    merged = run(MergeEdits, model=model, edits={"edit_1": loaded}).result
    assert 'this installation cuts "Zoë Kraus" into other tokens' in merged[2]


# --- merge ---


@pytest.fixture
def one_text_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the states of a text independent of what is encoded with it; batches change their last bits."""
    monkeypatch.setattr("pack.nodes.host.text_encoder._BATCH", 1)


@pytest.mark.usefixtures("one_text_at_a_time")
def test_merging_is_erasing_the_union(clip: comfy.sd.CLIP) -> None:
    model = unet()
    stored = snapshot(model)
    first = erase(model, clip, "cat -> dog\nred ship", preset="objects-many", seed=5)[1]
    second = erase(model, clip, "bird\ncat -> dog", preset="objects-few")[1]
    whole, edit, _ = erase(model, clip, "cat -> dog\nred ship\nbird", preset="objects-many", seed=5)
    merged, joint, report = run(MergeEdits, model=model, edits={"edit_1": first, "edit_2": second}).result
    assert [concept.text for concept in joint.concepts] == ["cat", "red ship", "bird"]
    assert same(tensors(joint), tensors(edit))
    assert torch.equal(answer(merged), answer(whole))
    for said in ("edit_1", "edit_2 had been solved with other settings", "variant", "seed", "bird"):
        assert said in report
    assert same(snapshot(model), stored)


@pytest.mark.usefixtures("one_text_at_a_time")
def test_a_removed_concept_comes_back_exactly(clip: comfy.sd.CLIP) -> None:
    model = unet()
    both = erase(model, clip, "cat\nred ship")[1]
    left, edit, _ = run(MergeEdits, model=model, edits={"edit_1": both}, remove="red ship", strength=0.7).result
    alone, only, _ = erase(model, clip, "cat", strength=0.7)
    assert [concept.text for concept in edit.concepts] == ["cat"]
    assert same(tensors(edit), tensors(only))
    assert torch.equal(answer(left), answer(alone))


def test_an_edit_is_solved_anew_for_another_model(clip: comfy.sd.CLIP) -> None:
    edit = erase(unet(), clip, "cat")[1]
    other = unet(seed=9)
    merged, _, report = run(MergeEdits, model=other, edits={"edit_1": edit}).result
    assert torch.equal(answer(merged), answer(erase(other, clip, "cat")[0]))
    assert "edit_1 had been solved from other weights" in report


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"remove": "cta"}, r'remove: "cta" .*Did you mean "cat"\?'),
        ({"remove": "cat\nbird -> x"}, "remove: line 2 has an arrow"),
        ({"remove": "cat"}, "remove: nothing would be left"),
        ({"settings_from": "edit_2"}, "settings_from: edit_2 is not connected"),
        ({"model": "sdxl"}, r"edits: edit_1 was made for SD1\.x models, and this model is SDXL"),
        ({"model": "edited"}, "model: it carries an edit already"),
        ({"edits": {}}, "edits: there is none"),
    ],
)
def test_mistakes_are_told_in_words_that_name_the_input(
    clip: comfy.sd.CLIP, inputs: dict[str, Any], message: str
) -> None:
    model = unet()
    edited, edit, _ = erase(model, clip, "cat")
    given = {"model": model, "edits": {"edit_1": edit}, **inputs}
    given["model"] = {"sdxl": unet("sdxl"), "edited": edited}.get(inputs.get("model", ""), model)
    with pytest.raises(ScaPreError, match=message):
        run(MergeEdits, **given)
    assert model.patches == {}


# --- in a server ---


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def latent(model: list[Any]) -> Graph:
    """What a model makes of one noise image in one step."""
    return {
        "text": node("CLIPTextEncode", clip=["model", 1], text="a cat"),
        "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sample": node(
            "KSampler", model=model, positive=["text", 0], negative=["text", 0], latent_image=["empty", 0], seed=1,
            steps=1, cfg=1.0, sampler_name="euler", scheduler="normal", denoise=1.0,
        ),
        "save latent": node("SaveLatent", samples=["sample", 0], filename_prefix="latents/x"),
    }  # fmt: skip


def checkpoint(tiny_checkpoint: Path) -> Graph:
    return {"model": node("CheckpointLoaderSimple", ckpt_name=tiny_checkpoint.name)}


def erasing(key: str, concepts: str) -> Graph:
    return {key: node("ScaPreEraseConcepts", model=["model", 0], clip=["model", 1], concepts=concepts)}


def sampled(server: Server, entry: dict[str, Any]) -> bytes:
    reference = entry["outputs"]["save latent"]["latents"][0]
    return safetensors.torch.load(server.image(reference))["latent_tensor"].numpy().tobytes()


def test_an_edit_outlives_the_server(tmp_path: Path, tiny_checkpoint: Path) -> None:
    base, start = tmp_path / "base", checkpoint(tiny_checkpoint)
    server = Server(comfy_root(), base)
    add_checkpoint(server.base, tiny_checkpoint)
    with server:
        graph = start | erasing("erase", "cat -> dog\nred ship") | latent(["erase", 0])
        graph["save"] = node("ScaPreSaveEdit", edit=["erase", 1], filename_prefix="scapre/edit", include_names=True)
        entry = server.run(graph)
        solved, (saved,) = sampled(server, entry), entry["outputs"]["save"]["edits"]
        assert saved["filename"] == "edit_00001_.safetensors"
        assert (base / "output" / "scapre" / "edit_00001_.safetensors").is_file()
    with Server(comfy_root(), base) as again:
        file = "edit_00001_.safetensors [output]"
        assert file in again.object_info("ScaPreLoadEdit")["input"]["required"]["file"][1]["options"]
        graph = start | latent(["apply", 0])
        graph["load"] = node("ScaPreLoadEdit", file=file)
        graph["apply"] = node("ScaPreApplyEdit", model=["model", 0], edit=["load", 0], strength=1.0)
        graph["report"] = node("PreviewAny", source=["load", 1])
        entry = again.run(graph)
        assert sampled(again, entry) == solved
        assert "red ship" in "".join(entry["outputs"]["report"]["text"])
        assert "apply" not in entry["outputs"]
        assert "load" in cached_nodes(again.run(graph))
        os.utime(base / "output" / "scapre" / "edit_00001_.safetensors", ns=(1, 1))
        assert "load" not in cached_nodes(again.run(graph))
        graph["load"]["inputs"]["file"] = "../../models/checkpoints/" + tiny_checkpoint.name
        with pytest.raises(PromptRejected, match="there is no edit"):
            again.run(graph)


def test_edits_are_merged_and_taken_apart_in_a_server(server: Server, tiny_checkpoint: Path) -> None:
    start = checkpoint(tiny_checkpoint)
    for key, concepts in (("one", "cat -> dog"), ("two", "red ship")):
        graph = start | erasing(key, concepts)
        graph["save"] = node(
            "ScaPreSaveEdit", edit=[key, 1], filename_prefix=f"scapre/{key}", include_names=key == "one"
        )
        server.run(graph)
    graph = start | latent(["merge", 0])
    for key in ("one", "two"):
        graph[key] = node("ScaPreLoadEdit", file=f"{key}_00001_.safetensors [output]")
    edits = {"edits.edit_1": ["one", 0], "edits.edit_2": ["two", 0]}
    graph["merge"] = node("ScaPreMergeEdits", model=["model", 0], **edits)
    graph["report"] = node("PreviewAny", source=["merge", 2])
    entry = server.run(graph)
    assert "Erased 2 concepts" in "".join(entry["outputs"]["report"]["text"])
    assert "concept\xa01" in "".join(entry["outputs"]["report"]["text"])
    both = sampled(server, entry)
    graph["merge"]["inputs"]["remove"] = "concept 1"
    left = sampled(server, server.run(graph))
    alone = sampled(server, server.run(start | erasing("erase", "cat -> dog") | latent(["erase", 0])))
    assert left == alone != both
    graph["merge"]["inputs"]["remove"] = "dog"
    with pytest.raises(PromptFailed, match=r'remove: "dog" is erased by none of the edits'):
        server.run(graph)


def test_a_damaged_file_fails_in_words(server: Server) -> None:
    folder = server.base / "models" / "scapre"
    folder.mkdir(parents=True, exist_ok=True)
    write_edit(tiny_edit(), folder / "damaged.safetensors")
    os.truncate(folder / "damaged.safetensors", 3000)
    graph = {"load": node("ScaPreLoadEdit", file="damaged.safetensors"), "r": node("PreviewAny", source=["load", 1])}
    with pytest.raises(PromptFailed, match="is cut short"):
        server.run(graph)
