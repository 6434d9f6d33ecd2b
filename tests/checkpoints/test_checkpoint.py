"""Checkpoint files read without a host: families, names, order, and files that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.errors import ScaPreError
from pack.scapre.export import FORMATS, Options
from pack.scapre.families import FAMILIES, stable_diffusion
from pack.scapre.families.marks import MARKS
from pack.scapre.families.signatures import SIGNATURES
from pack.scapre.progress import silent
from pack.tests import checkpoint_files

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", checkpoint_files.KINDS)
def test_every_family_is_told_from_its_file(tmp_path: Path, kind: str) -> None:
    content = checkpoint_files.tensors(kind)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        assert checkpoint.family == FAMILIES[kind].title
        assert checkpoint_files.texts(checkpoint) == [
            f"diffusion_model.{name}" for name in checkpoint_files.projection_names(kind)
        ]
        for name in checkpoint.roles:
            weight = checkpoint.read(name, CPU)
            assert weight.dtype == torch.float32
            whole, pooled, _ = name.partition("[:1280]")
            stored = content[f"model.{whole}"]
            assert torch.equal(weight, stored.float().flatten(1)[:, : 1280 if pooled else None])
            assert checkpoint.shape(whole) == stored.shape
            assert checkpoint.shape(name) == (weight.shape if pooled else stored.shape)


def test_every_supported_class_is_told_from_a_file() -> None:
    assert set(SIGNATURES) == set(stable_diffusion.FAMILIES)
    told_by_metadata = {"WAN21_CausalAR_T2V", "WAN21_FlowRVS"}  # files of theirs are told as WAN21_T2V
    assert set(FAMILIES) - set(SIGNATURES) - told_by_metadata <= {mark.name for mark in MARKS}


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model.", ""])
def test_a_diffusion_model_alone_is_read_too(tmp_path: Path, prefix: str) -> None:
    content = checkpoint_files.tensors("SD15", prefix)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        first = checkpoint_files.texts(checkpoint)[0]
        assert torch.equal(
            checkpoint.read(first, CPU), content[prefix + first.removeprefix("diffusion_model.")].float()
        )
        with pytest.raises(ScaPreError, match="no text encoder"):
            checkpoint.encoder()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_any_float_is_read_as_it_is(tmp_path: Path, dtype: torch.dtype) -> None:
    content = checkpoint_files.tensors(dtype=dtype)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        name = checkpoint_files.texts(checkpoint)[5]
        assert torch.equal(checkpoint.read(name, CPU), content[f"model.{name}"].float())


def stored(dtype: torch.dtype, beside: Callable[[str], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """A checkpoint whose keys and values are stored in some type, with more beside each."""
    content = checkpoint_files.tensors(dtype=torch.float32)
    for name in [name for name in content if "attn2" in name]:
        content |= {name: content[name].to(dtype), **beside(name.removesuffix("weight"))}
    return content


@pytest.mark.parametrize("scale", [None, "scale_weight", "weight_scale"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_is_read_as_the_numbers_that_it_stands_for(
    tmp_path: Path, dtype: torch.dtype, scale: str | None
) -> None:
    content = stored(dtype, lambda path: {path + scale: torch.tensor(0.37)} if scale else {})
    if scale == "scale_weight":
        content["model.diffusion_model.scaled_fp8"] = torch.zeros(0, dtype=dtype)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        for name in checkpoint_files.texts(checkpoint):
            expected = content[f"model.{name}"].float() * (torch.tensor(0.37) if scale else 1)
            assert torch.equal(checkpoint.read(name, CPU), expected)


@pytest.mark.parametrize(
    ("dtype", "beside", "said"),
    [
        (torch.int8, {}, "quantised .torch.int8"),
        (torch.uint8, {"weight_scale": torch.ones(()), "weight_scale_2": torch.ones(())}, "quantised .torch.uint8"),
        (torch.float8_e4m3fn, {"weight_scale": torch.ones(4, 2)}, "more than one scale"),
        (torch.float8_e4m3fn, {"weight_scale": torch.ones(()), "scale_weight": torch.ones(())}, "more than one scale"),
        (torch.float8_e4m3fn, {"pre_quant_scale": torch.ones(768)}, "more than one scale"),
    ],
)
def test_weights_that_are_quantised_in_other_ways_are_refused(
    tmp_path: Path, dtype: torch.dtype, beside: dict[str, torch.Tensor], said: str
) -> None:
    content = stored(dtype, lambda path: {path + word: value.clone() for word, value in beside.items()})
    path = checkpoint_files.write(tmp_path / "a.safetensors", content)
    with Checkpoint(path) as checkpoint, pytest.raises(ScaPreError, match=said):
        checkpoint.read(checkpoint_files.texts(checkpoint)[0], CPU)


def test_an_edited_checkpoint_in_float8_is_not_written(tmp_path: Path) -> None:
    path = checkpoint_files.write(tmp_path / "a.safetensors", stored(torch.float8_e4m3fn, lambda _: {}))
    edit = checkpoint_files.edit_for(path)
    with Checkpoint(path) as checkpoint:
        for form in ("lora", "diff"):
            FORMATS[form](edit, checkpoint, tmp_path / f"{form}.safetensors", Options(), silent)
        with pytest.raises(ScaPreError, match=r"format: .*quantised.*--format diff"):
            FORMATS["checkpoint"](edit, checkpoint, tmp_path / "b.safetensors", Options(), silent)
    assert not (tmp_path / "b.safetensors").exists()


def changed(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """SD1.x with some tensors of other shapes."""
    content = checkpoint_files.tensors()
    return content | {f"model.diffusion_model.{name.replace('__', '.')}": torch.zeros(s) for name, s in shapes.items()}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"down_blocks.0.weight": torch.zeros(1), "conv_in.weight": torch.zeros(1)}, "diffusers"),
        ({"unet.conv_in.weight": torch.zeros(1)}, "diffusers"),
        ({"double_blocks.0.img_attn.qkv.weight": torch.zeros(1)}, "no diffusion model that is supported"),
        ({"model.diffusion_model.double_blocks.0.weight": torch.zeros(1)}, "no diffusion model that is supported"),
        ({"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": torch.zeros(1)}, "is a LoRA. Give the checkpoint"),
        ({"states.tokens": torch.zeros(1)}, "is an edit of this pack. Give the model"),
        (changed(zero_convs__0__0__weight=(320, 320, 1, 1)), "is a ControlNet. Give the checkpoint"),
        (changed(input_blocks__0__0__weight=(256, 4, 3, 3)), "256 channels"),
        (changed(label_emb__0__0__weight=(1, 7)), "none that is supported"),
        (changed(input_blocks__1__1__time_stack__0__weight=(1,)), "none that is supported"),  # video
        ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3)}, "none that is supported"),
    ],
)
def test_other_models_are_refused_in_words(tmp_path: Path, content: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(ScaPreError, match=said):
        Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content))


ZERO123 = {"cc_projection.weight": torch.zeros(1), **changed(input_blocks__0__0__weight=(320, 8, 3, 3))}


@pytest.mark.parametrize(
    ("content", "detected"),
    [
        ({"embed_image_indicator.weight": torch.zeros(8, 8)}, "Ideogram4"),
        ({"model.diffusion_model.embed_image_indicator.weight": torch.zeros(8, 8)}, "Ideogram4"),
        (changed(input_blocks__0__0__weight=(256, 7, 3, 3)) | {
            name: value[:, :1].repeat(1, 1024) for name, value in checkpoint_files.tensors().items() if "attn2" in name
        }, "SD_X4Upscaler"),
        (ZERO123, "Stable_Zero123"),
    ],
)  # fmt: skip
def test_other_models_are_refused_by_their_name(
    tmp_path: Path, content: dict[str, torch.Tensor], detected: str
) -> None:
    with pytest.raises(ScaPreError) as refusal:
        Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content))
    assert str(refusal.value).startswith(f"checkpoint: {detected} models are not supported. Supported: SD1.x, SD2.x, ")


@pytest.mark.parametrize(("kind", "inputs"), [("SD15", 8), ("SDXL", 8), ("SD15", 9), ("SD20", 5), ("SDXL", 9)])
def test_what_goes_in_beside_the_picture_changes_no_family(tmp_path: Path, kind: str, inputs: int) -> None:
    _, _, channels, _ = checkpoint_files.KINDS[kind]
    content = checkpoint_files.tensors(kind)
    content["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(channels, inputs, 3, 3)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        assert checkpoint.family == FAMILIES[kind].title
        assert checkpoint_files.texts(checkpoint) == [
            f"diffusion_model.{name}" for name in checkpoint_files.projection_names(kind)
        ]


@pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "A.PTH", "a.bin"])
def test_pickles_are_refused_unopened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not read")
    with pytest.raises(ScaPreError, match=r"Convert it to .safetensors"):
        Checkpoint(tmp_path / name)


def test_folders_and_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScaPreError, match="folder"):
        Checkpoint(tmp_path)
    with pytest.raises(ScaPreError, match="cannot be read"):
        Checkpoint(tmp_path / "missing.safetensors")
    whole = checkpoint_files.write(tmp_path / "a.safetensors", checkpoint_files.tensors()).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    with pytest.raises(ScaPreError, match=r"cut\.safetensors"):
        Checkpoint(tmp_path / "cut.safetensors")
