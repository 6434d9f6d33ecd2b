"""Exported files in the host's own hands: its LoRA loader on models of every family, and the node that writes them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.sd
import comfy.supported_models as supported
import comfy.utils
import folder_paths
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from safetensors import safe_open

from pack.nodes.export_edit import ExportEdit
from pack.nodes.host import folders
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre.export import FORMATS, Exported, Options, Rank
from pack.scapre.export.names import by_blocks
from pack.scapre.progress import silent
from pack.tests import checkpoint_files
from pack.tests.host import models
from pack.tests.host.models import loaded, projection, same, snapshot, unet

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

PRESETS = ("objects-few", "objects-many")


def write(form: str, model: ModelPatcher, edit: Edit, path: Path, options: Options) -> Exported:
    return FORMATS[form](edit, HostProjections(model), path, options, silent)


def with_file(model: ModelPatcher, path: Path, strength: float = 1.0) -> ModelPatcher:
    """What LoraLoaderModelOnly does."""
    return comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(str(path)), strength, 0)[0]


def weights(model: ModelPatcher, names: Any) -> dict[str, torch.Tensor]:
    """The weights that the model computes with."""
    with loaded(model) as network:
        return {name: projection(network, name).double() for name in names}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", models.KINDS)
def test_the_stock_loader_gives_what_the_file_promises(
    kind: str, preset: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = unet(kind)
    edit = models.solve(model, models.text_encoder(kind), preset=preset)
    plain, edited = weights(model, edit.shapes), weights(apply_edit(model, edit, 1.0), edit.shapes)
    cases = [("diff", Options()), ("lora", Options(Rank(1000), "fp32")), ("lora", Options(Rank(3)))]
    for number, (form, options) in enumerate(cases):
        path = tmp_path / f"{number}.safetensors"
        said = write(form, model, edit, path, options)
        with caplog.at_level(logging.WARNING):
            found = weights(with_file(model, path), edit.shapes)
        assert not [record for record in caplog.records if "not loaded" in record.message]
        for name, weight in found.items():
            change = edited[name] - plain[name]
            missing = ((weight - edited[name]).norm() / change.norm()).item()
            assert missing == pytest.approx(said.residuals[name], rel=1e-3, abs=3e-6)  # of float32 sums


@pytest.mark.parametrize("form", ["lora", "diff"])
def test_a_file_follows_the_strength_of_the_loader(form: str, tmp_path: Path) -> None:
    model = unet()
    edit = models.solve(model, models.text_encoder())
    write(form, model, edit, tmp_path / "a.safetensors", Options(Rank(1000), "fp32"))
    half = weights(with_file(model, tmp_path / "a.safetensors", 0.5), edit.shapes)
    for name, weight in weights(apply_edit(model, edit, 0.5), edit.shapes).items():
        assert torch.allclose(half[name], weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "config"), [("SD15", supported.SD15), ("SD20", supported.SD20)])
def test_names_after_blocks_are_those_of_the_host(kind: str, config: type) -> None:
    depths: dict[str, Any] = {
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_output": [1] * 9 + [0] * 3,
        "transformer_depth_middle": 1, "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4],
    }  # fmt: skip
    blocks = comfy.utils.unet_to_diffusers({**config.unet_config, **depths})
    known = {path: name.removesuffix(".weight").replace(".", "_") for name, path in blocks.items() if "attn2" in name}
    names = checkpoint_files.projection_names(kind)
    assert by_blocks(names) == {name: f"lora_unet_{known[name]}" for name in names}


# --- Export Edit ---


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI's output folder."""
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def model() -> ModelPatcher:
    """A tiny SD1.x model; no test changes it."""
    return unet()


@pytest.fixture(scope="module")
def edit(model: ModelPatcher, clip: comfy.sd.CLIP) -> Edit:
    """An edit of it."""
    return models.solve(model, clip)


def run(model: ModelPatcher, edit: Edit, form: str = "lora", **more: Any) -> str:
    with torch.inference_mode():
        (report,) = ExportEdit.EXECUTE_NORMALIZED(model=model, edit=edit, format=form, **more).result
    return report


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_node_numbers_its_files_and_replaces_none(model: ModelPatcher, edit: Edit, output: Path) -> None:
    before = snapshot(model)
    report = run(model, edit)
    first = (output / "loras/scapre_00001_.safetensors").read_bytes()
    assert "output/loras/scapre_00001_.safetensors" in report and "ranks" in report
    run(model, edit, "diff", filename_prefix="loras/scapre")
    run(model, edit, filename_prefix="elsewhere/deep/name")
    assert names_in(output) == [
        "elsewhere/deep/name_00001_.safetensors",
        "loras/scapre_00001_.safetensors",
        "loras/scapre_00002_.safetensors",
    ]
    assert (output / "loras/scapre_00001_.safetensors").read_bytes() == first
    assert same(before, snapshot(model)) and not model.patches


def test_a_file_that_appears_meanwhile_is_left_alone(
    model: ModelPatcher, edit: Edit, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (output / "a_00001_.safetensors").write_bytes(b"somebody else's")
    monkeypatch.setattr(folders, "save_place", lambda prefix: (output, prefix, 1))
    assert "a_00002_" in run(model, edit, filename_prefix="a")
    assert (output / "a_00001_.safetensors").read_bytes() == b"somebody else's"


def test_the_inputs_reach_the_file(model: ModelPatcher, edit: Edit, output: Path) -> None:
    run(model, edit, rank=3, dtype="bf16", include_names=False)
    run(model, edit, tolerance=0.5)
    with safe_open(output / "loras/scapre_00001_.safetensors", "pt") as file:
        factors = [file.get_slice(name) for name in file.keys() if "lora_down" in name]  # noqa: SIM118
        assert {(part.get_shape()[0], part.get_dtype()) for part in factors} == {(3, "BF16")}
        assert "scapre.concepts" not in file.metadata()
    with safe_open(output / "loras/scapre_00002_.safetensors", "pt") as file:
        assert "Gogh" in file.metadata()["scapre.concepts"]
        assert file.get_slice(next(n for n in file.keys() if "lora_down" in n)).get_dtype() == "F16"  # noqa: SIM118


def test_a_model_that_has_the_edit_or_another_shape_is_refused(model: ModelPatcher, edit: Edit, output: Path) -> None:
    with pytest.raises(ScaPreError, match="already carries"):
        run(apply_edit(model, edit, 1.0), edit)
    with pytest.raises(ScaPreError, match="made for"):
        run(unet("sdxl"), edit)
    assert names_in(output) == []


def test_other_weights_are_exported_with_a_note(model: ModelPatcher, edit: Edit, output: Path) -> None:
    assert "other weights" not in run(model, edit)
    assert "other weights" in run(unet(seed=5), edit)


@pytest.mark.parametrize("prefix", ["../outside", "/tmp/outside", "a\0b"])
def test_a_place_outside_the_output_folder_is_refused(
    model: ModelPatcher, edit: Edit, output: Path, prefix: str
) -> None:
    with pytest.raises(ScaPreError, match="filename_prefix"):
        run(model, edit, filename_prefix=prefix)
    assert names_in(output) == []
