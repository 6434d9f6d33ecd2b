"""Exported files: what they hold, what they say of themselves, and how other programs read their names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre.export import DTYPES, FORMATS, Exported, Options, Rank
from pack.scapre.export.names import by_blocks, by_path
from pack.scapre.methods.scapre.settings import PRESETS
from pack.scapre.progress import silent
from pack.tests import checkpoint_files

CPU = torch.device("cpu")
SD15 = [f"diffusion_model.{name}" for name in checkpoint_files.projection_names("SD15")]
SDXL = [f"diffusion_model.{name}" for name in checkpoint_files.projection_names("SDXL")]
VARIANTS = {"precise": "objects-few", "scale": "objects-many"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SD1.x checkpoint."""
    metadata = {"format": "pt", "author": "somebody", "modelspec.hash_sha256": "0x1", "sshs_model_hash": "2"}
    return checkpoint_files.write(
        tmp_path_factory.mktemp("source") / "a.safetensors", checkpoint_files.tensors(), metadata
    )


@pytest.fixture(scope="module", params=VARIANTS)
def edit(request: pytest.FixtureRequest, source: Path) -> Edit:
    """An edit of it, of each variant."""
    return checkpoint_files.edit_for(source, settings=PRESETS[VARIANTS[request.param]].settings)


def write(form: str, edit: Edit, source: Path, out: Path, options: Options | None = None) -> Exported:
    with Checkpoint(source) as checkpoint:
        return FORMATS[form](edit, checkpoint, out, options or Options(), silent)


def deltas(edit: Edit, source: Path) -> dict[str, torch.Tensor]:
    with Checkpoint(source) as checkpoint:
        return {name: edit.delta(name, checkpoint.read(name, CPU)).double() for name in edit.shapes}


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def given(path: Path, files: dict[str, str]) -> dict[str, torch.Tensor]:
    """What a reader of LoRA files adds to each weight: alpha / rank · up · down, or the difference."""
    content = load_file(path)
    found = {}
    for name, file in files.items():
        if f"{file}.diff" in content:
            found[name] = content.pop(f"{file}.diff").double()
            continue
        up, down = (content.pop(f"{file}.lora_{part}.weight").double() for part in ("up", "down"))
        found[name] = content.pop(f"{file}.alpha").item() / len(down) * (up @ down)
    assert not content
    return found


# --- what the files hold ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [Rank(4), Rank(0, 0.05), Rank(1000)], ids=str)
def test_a_lora_gives_the_change_within_its_reported_residual(
    edit: Edit, source: Path, tmp_path: Path, dtype: str, rank: Rank
) -> None:
    out = tmp_path / "lora.safetensors"
    said = write("lora", edit, source, out, Options(rank, dtype))
    content = load_file(out)
    found, truth = given(out, dict(by_blocks(SD15))), deltas(edit, source)
    assert {value.dtype for name, value in content.items() if "lora_" in name.split(".")[1]} == {DTYPES[dtype]}
    for name, wanted in truth.items():
        assert (found[name] - wanted).norm() / wanted.norm() == pytest.approx(said.residuals[name], rel=1e-3, abs=1e-9)
        assert said.ranks[name] <= said.rank == len(content[f"{by_blocks(SD15)[name]}.lora_down.weight"])
    apart = torch.cat([(found[name] - wanted).flatten() for name, wanted in truth.items()]).norm()
    whole = torch.cat([wanted.flatten() for wanted in truth.values()]).norm()
    assert (apart / whole).item() == pytest.approx(said.residual, rel=1e-3, abs=1e-9)
    if rank == Rank(1000):  # nothing is left out but the rounding of two factors
        assert said.residual < 2 * torch.finfo(DTYPES[dtype]).eps
    elif rank.rank:
        assert set(said.ranks.values()) == {4}
    else:
        assert max(said.residuals.values()) < 0.05 + 2 * torch.finfo(DTYPES[dtype]).eps


def test_a_difference_is_the_change_itself(edit: Edit, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "diff.safetensors"
    said = write("diff", edit, source, out)
    found = given(out, dict(by_blocks(SD15)))
    assert all(torch.equal(found[name], wanted) for name, wanted in deltas(edit, source).items())
    assert said.residual == 0
    half = write("diff", edit, source, tmp_path / "half.safetensors", Options(dtype="fp16"))
    assert 0 < half.residual < torch.finfo(torch.float16).eps
    assert half.size == said.size / 2


def test_a_checkpoint_carries_the_edit_and_is_the_same_otherwise(edit: Edit, source: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "edited.safetensors", source.read_bytes()
    said = write("checkpoint", edit, source, out)
    old, new = load_file(source), load_file(out)
    assert old.keys() == new.keys()
    touched = {f"model.{name}" for name in SD15}
    for name, value in old.items():
        assert new[name].dtype == value.dtype
        assert name in touched or torch.equal(new[name], value)
    for name, wanted in deltas(edit, source).items():
        weight = old[f"model.{name}"].float()
        assert torch.equal(new[f"model.{name}"], (weight + wanted.float()).half())
    assert 0 < said.residual < 0.05
    assert source.read_bytes() == before
    kept = metadata_of(out)
    assert kept["author"] == "somebody"
    assert not {"modelspec.hash_sha256", "sshs_model_hash"} & set(kept)  # they would be wrong


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_edit_gives_the_same_bytes_and_replaces_no_file(
    form: str, edit: Edit, source: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    write(form, edit, source, first)
    write(form, edit, source, second)
    assert first.read_bytes() == second.read_bytes()
    second.write_bytes(b"something else")
    with pytest.raises(FileExistsError):
        write(form, edit, source, second)
    assert second.read_bytes() == b"something else"
    write(form, edit, source, second, Options(overwrite=True))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.safetensors", "2.safetensors"]


def test_the_report_names_ranks_residuals_and_place(edit: Edit, source: Path, tmp_path: Path) -> None:
    said = write("lora", edit, source, tmp_path / "a.safetensors", Options(Rank(3)))
    text = said.render("here.safetensors")
    assert "here.safetensors" in text and "rank 3 for all (they need ranks 3 to 3)" in text and "SD1.x" in text
    assert all(name in text for name in SD15)


def test_factors_larger_than_their_products_come_with_advice(edit: Edit, source: Path, tmp_path: Path) -> None:
    small = write("lora", edit, source, tmp_path / "small.safetensors", Options(Rank(3)))
    large = write("lora", edit, source, tmp_path / "large.safetensors", Options(Rank(1000)))
    assert small.notes == ()
    half = write("diff", edit, source, tmp_path / "half.safetensors", Options(dtype="fp16"))
    assert f"diff) in the same precision takes {half.size / 1e6:.1f} MB" in large.render("here")
    assert half.size < large.size


# --- what they say of themselves ---


@pytest.mark.parametrize("form", FORMATS)
def test_metadata_tell_the_edit_and_its_names_only_where_wanted(
    form: str, edit: Edit, source: Path, tmp_path: Path
) -> None:
    write(form, edit, source, tmp_path / "named.safetensors")
    write(form, edit, source, tmp_path / "nameless.safetensors", Options(names=False))
    named, nameless = (metadata_of(tmp_path / f"{name}.safetensors") for name in ("named", "nameless"))
    assert json.loads(named["scapre.concepts"]) == [["cat", "dog"], ["Vincent van Gogh", ""]]
    assert json.loads(named["scapre.settings"])["variant"] == edit.settings.variant
    assert (named["scapre.fingerprint"], named["scapre.seed"]) == (edit.fingerprint, str(edit.seed))
    for secret in (b"Gogh", b"cat"):
        assert secret not in (tmp_path / "nameless.safetensors").read_bytes()
    assert nameless == {key: text for key, text in named.items() if key != "scapre.concepts"}


def test_metadata_of_a_lora_are_those_of_kohyas_tools(edit: Edit, source: Path, tmp_path: Path) -> None:
    write("lora", edit, source, tmp_path / "one.safetensors", Options(Rank(3)))
    one = metadata_of(tmp_path / "one.safetensors")
    assert (one["ss_network_module"], one["ss_network_dim"], one["ss_network_alpha"]) == ("networks.lora", "3", "3")
    assert (one["ss_base_model_version"], one["ss_v2"]) == ("sd_v1", "False")
    assert one["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert {"modelspec.sai_model_spec", "modelspec.implementation", "modelspec.title"} <= set(one)
    said = write("lora", edit, source, tmp_path / "more.safetensors", Options(Rank(0, 0.2)))
    more = metadata_of(tmp_path / "more.safetensors")
    assert more["ss_network_dim"] == more["ss_network_alpha"] == str(max(said.ranks.values()))
    write("diff", edit, source, tmp_path / "diff.safetensors")
    assert metadata_of(tmp_path / "diff.safetensors")["ss_network_dim"] == "0"


# --- names ---


def a1111(file: str) -> str:
    """Module that A1111 looks up for a name, as its networks extension turns diffusers' blocks into the original ones.

    A UNet of SD1.x is known there by its original path with underscores. Names after diffusers' blocks are counted
    with three blocks a level; any other name keeps its path.
    """
    file = file.removeprefix("lora_unet_")
    if found := re.fullmatch(r"down_blocks_(\d+)_attentions_(\d+)_(.+)", file):
        return f"diffusion_model_input_blocks_{1 + int(found[1]) * 3 + int(found[2])}_1_{found[3]}"
    if found := re.fullmatch(r"mid_block_attentions_(\d+)_(.+)", file):
        return f"diffusion_model_middle_block_{int(found[1]) * 2 + 1}_{found[2]}"
    if found := re.fullmatch(r"up_blocks_(\d+)_attentions_(\d+)_(.+)", file):
        return f"diffusion_model_output_blocks_{int(found[1]) * 3 + int(found[2])}_1_{found[3]}"
    return f"diffusion_model_{file}"


@pytest.mark.parametrize(("names", "naming"), [(SD15, by_blocks), (SDXL, by_path), (SD15, by_path)])
def test_a1111_finds_every_module(names, naming) -> None:
    for name, file in naming(names).items():
        assert re.fullmatch(r"lora_unet_[a-z0-9_]+", file)  # a dot would end the name there
        assert a1111(file) == name.removesuffix(".weight").replace(".", "_")


def test_names_are_kohyas() -> None:
    files = by_blocks(SD15)
    assert len(set(files.values())) == 32
    for name, file in (
        ("input_blocks.1.1", "down_blocks_0_attentions_0"),
        ("input_blocks.8.1", "down_blocks_2_attentions_1"),
        ("middle_block.1", "mid_block_attentions_0"),
        ("output_blocks.3.1", "up_blocks_1_attentions_0"),
        ("output_blocks.11.1", "up_blocks_3_attentions_2"),
    ):
        inside = f"diffusion_model.{name}.transformer_blocks.0.attn2.to_k.weight"
        assert files[inside] == f"lora_unet_{file}_transformer_blocks_0_attn2_to_k"
    inside = "diffusion_model.input_blocks.4.1.transformer_blocks.1.attn2.to_v.weight"
    assert by_path(SDXL)[inside] == "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_v"


def diffusers(file: str) -> str:
    """Module that diffusers looks up: underscores become dots, but for those inside the names of its modules."""
    path = file.removeprefix("lora_unet_").replace("_", ".")
    for word in ("down_blocks", "up_blocks", "mid_block", "transformer_blocks", "to_k", "to_v"):
        path = path.replace(word.replace("_", "."), word)
    return path


def test_diffusers_finds_every_module_of_sd1() -> None:
    # Three of four levels have attention: all but the last on the way down, all but the first on the way up.
    places = [f"down_blocks.{level}.attentions.{n}" for level in (0, 1, 2) for n in (0, 1)]
    places += ["mid_block.attentions.0"]
    places += [f"up_blocks.{level}.attentions.{n}" for level in (1, 2, 3) for n in (0, 1, 2)]
    modules = {f"{place}.transformer_blocks.0.attn2.to_{part}" for place in places for part in "kv"}
    assert {diffusers(file) for file in by_blocks(SD15).values()} == modules


@pytest.mark.parametrize("kind", checkpoint_files.KINDS)
def test_every_family_is_exported_under_its_names(kind: str, tmp_path: Path) -> None:
    source = checkpoint_files.write(tmp_path / "a.safetensors", checkpoint_files.tensors(kind))
    edit, out = checkpoint_files.edit_for(source, "cat"), tmp_path / "lora.safetensors"
    write("lora", edit, source, out, Options(Rank(2)))
    names = list(edit.shapes)
    style = by_blocks if kind in ("SD15", "SD20", "SD21UnclipL", "SD21UnclipH") else by_path
    assert given(out, dict(style(names))).keys() == set(names)
    base = {"SD1": "sd_v1", "SD2": "sd_v2", "SDXLRefiner": "sdxl_refiner_v1-0"}
    expected = base.get(kind, base.get(kind[:3], "sdxl_base_v1-0"))
    assert metadata_of(out)["ss_base_model_version"] == expected


# --- what cannot be exported ---


@pytest.mark.parametrize("form", FORMATS)
def test_another_architecture_is_refused_and_nothing_written(form: str, source: Path, tmp_path: Path) -> None:
    edit = checkpoint_files.edit_for(source)
    for kind, said in (("SDXL", "made for SD1.x models with 32"), ("SD20", "this SD2.x model")):
        other = checkpoint_files.write(tmp_path / f"{kind}.safetensors", checkpoint_files.tensors(kind))
        with pytest.raises(ScaPreError, match=re.escape(said)):
            write(form, edit, other, tmp_path / "out.safetensors")
    assert not [path for path in tmp_path.iterdir() if path.stem not in ("SDXL", "SD20")]


@pytest.mark.parametrize("form", FORMATS)
def test_broken_weights_are_refused_and_nothing_written(form: str, source: Path, tmp_path: Path) -> None:
    edit, content = checkpoint_files.edit_for(source), checkpoint_files.tensors()
    content[f"model.{SD15[7]}"][3, 5] = float("nan")
    broken = checkpoint_files.write(tmp_path / "nan.safetensors", content)
    with pytest.raises(ScaPreError, match="NaN"):
        write(form, edit, broken, tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["nan.safetensors"]


@pytest.mark.parametrize("form", FORMATS)
def test_values_that_the_dtype_does_not_hold_are_refused(form: str, source: Path, tmp_path: Path) -> None:
    content = checkpoint_files.tensors(dtype=torch.float32)
    content = {name: 1e12 * value if "attn2" in name else value for name, value in content.items()}
    edit, large = checkpoint_files.edit_for(source), checkpoint_files.write(tmp_path / "large.safetensors", content)
    if form == "checkpoint":  # stored in float32, as it was
        write(form, edit, large, tmp_path / "out.safetensors", Options(dtype="fp16"))
        return
    with pytest.raises(ScaPreError, match="too large"):
        write(form, edit, large, tmp_path / "out.safetensors", Options(dtype="fp16"))
    assert [path.name for path in tmp_path.iterdir()] == ["large.safetensors"]


def test_an_unknown_dtype_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ScaPreError, match="fp8"):
        write("lora", checkpoint_files.edit_for(source), source, tmp_path / "out.safetensors", Options(dtype="fp8"))


def test_a_checkpoint_is_written_from_a_file_only(source: Path, tmp_path: Path) -> None:
    edit = checkpoint_files.edit_for(source)
    with Checkpoint(source) as checkpoint:

        class Model:
            family, roles, read, shape = checkpoint.family, checkpoint.roles, checkpoint.read, checkpoint.shape

        with pytest.raises(ScaPreError, match="Save Checkpoint"):
            FORMATS["checkpoint"](edit, Model(), tmp_path / "out.safetensors", Options(), silent)
