"""Checkpoint files read without a host: families, names, order, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.errors import ScaPreError
from pack.scapre.families import FAMILIES
from pack.scapre.families.signatures import SIGNATURES
from pack.tests import checkpoint_files

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", checkpoint_files.KINDS)
def test_every_family_is_told_from_its_file(tmp_path: Path, kind: str) -> None:
    content = checkpoint_files.tensors(kind)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        assert checkpoint.family == FAMILIES[kind].title
        assert list(checkpoint.roles) == [f"diffusion_model.{name}" for name in checkpoint_files.projection_names(kind)]
        for name in checkpoint.roles:
            weight = checkpoint.read(name, CPU)
            assert weight.dtype == torch.float32
            assert torch.equal(weight, content[f"model.{name}"].float())


def test_every_supported_class_has_a_signature() -> None:
    assert set(SIGNATURES) == set(FAMILIES)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model.", ""])
def test_a_diffusion_model_alone_is_read_too(tmp_path: Path, prefix: str) -> None:
    content = checkpoint_files.tensors("SD15", prefix)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        first = next(iter(checkpoint.roles))
        assert torch.equal(
            checkpoint.read(first, CPU), content[prefix + first.removeprefix("diffusion_model.")].float()
        )
        with pytest.raises(ScaPreError, match="no text encoder"):
            checkpoint.encoder()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_any_float_is_read_as_it_is(tmp_path: Path, dtype: torch.dtype) -> None:
    content = checkpoint_files.tensors(dtype=dtype)
    with Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content)) as checkpoint:
        name = list(checkpoint.roles)[5]
        assert torch.equal(checkpoint.read(name, CPU), content[f"model.{name}"].float())


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    content = checkpoint_files.tensors(dtype=torch.float32)
    content = {name: value.to(torch.float8_e4m3fn) if "attn2" in name else value for name, value in content.items()}
    path = checkpoint_files.write(tmp_path / "a.safetensors", content)
    with Checkpoint(path) as checkpoint, pytest.raises(ScaPreError, match="quantised"):
        checkpoint.read(next(iter(checkpoint.roles)), CPU)


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
        (changed(input_blocks__0__0__weight=(320, 8, 3, 3)), "none that is supported"),  # driven by a picture
        (changed(input_blocks__0__0__weight=(256, 4, 3, 3)), "256 channels"),
        (changed(label_emb__0__0__weight=(1, 7)), "none that is supported"),
        (changed(input_blocks__1__1__time_stack__0__weight=(1,)), "none that is supported"),  # video
        ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3)}, "none that is supported"),
    ],
)
def test_other_models_are_refused_in_words(tmp_path: Path, content: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(ScaPreError, match=said):
        Checkpoint(checkpoint_files.write(tmp_path / "a.safetensors", content))


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
