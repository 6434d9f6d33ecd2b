"""Exported LoRA files in other programs' hands: diffusers and peft must apply what the edit does, to every matrix."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from pack import dev
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.edits.edit import Edit
from pack.scapre.export import FORMATS, Options, Rank
from pack.scapre.progress import silent
from pack.tests import checkpoint_files

SMALL: dict[str, Any] = {"sample_size": 8, "norm_num_groups": 4, "attention_head_dim": 8, "layers_per_block": 2}
# Levels of the released models: channels, which have attention and how deep, and what else tells the model.
UNETS: dict[str, dict[str, Any]] = {
    "SD15": {"block_out_channels": (8, 16, 24, 24), "cross_attention_dim": 768},
    "SDXL": {
        "block_out_channels": (8, 16, 24), "cross_attention_dim": 2048, "use_linear_projection": True,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 10],
    },
}  # fmt: skip
RANKS = {"tolerance 0.05": Rank(0, 0.05), "tolerance 0.4": Rank(0, 0.4), "rank 3": Rank(3), "rank 1000": Rank(1000)}


@pytest.fixture(scope="module")
def diffusers() -> Iterator[Any]:
    """The library, which reads LoRA files with peft's help; the environment that dev.py makes, and so CI, has both."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a test wanted to use the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(socket.socket, "connect", refuse)
        try:
            import diffusers
            import peft  # noqa: F401
        except ImportError:
            if Path(sys.prefix).parent == dev.cache_folder():
                raise
            pytest.skip("diffusers and peft are not installed here; `pip install .[readers]` brings them")
        yield diffusers


@pytest.fixture(scope="module", params=UNETS)
def erased(
    request: pytest.FixtureRequest, diffusers: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Edit, dict[str, torch.Tensor]]:
    """A kind of model, a checkpoint of it with diffusers' sizes, an edit, and its change of every matrix."""
    path, kind = tmp_path_factory.mktemp("source") / "source.safetensors", request.param
    source = checkpoint_for(random_unet(diffusers, kind), kind, path)
    edit = checkpoint_files.edit_for(source)
    with Checkpoint(source) as checkpoint:
        truth = {name: edit.delta(name, checkpoint.read(name, torch.device("cpu"))) for name in edit.shapes}
    return kind, source, edit, truth


def random_unet(diffusers: Any, kind: str) -> torch.nn.Module:
    """A model of diffusers with a released model's layers, and few channels."""
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(**SMALL, **UNETS[kind])


def module_name(name: str) -> str:
    """The module in diffusers' layout: a level has two blocks and a halving on the way in, and three on the way out."""
    pattern = r"(?:.+\.)?(\w+_blocks?)\.(?:(\d+)\.)?1\.(transformer_blocks\..+)\.weight"
    block, number, rest = re.fullmatch(pattern, name).groups()
    if block == "middle_block":
        return f"mid_block.attentions.0.{rest}"
    count = int(number) - (block == "input_blocks")
    way = {"input_blocks": "down", "output_blocks": "up"}[block]
    return f"{way}_blocks.{count // 3}.attentions.{count % 3}.{rest}"


def checkpoint_for(unet: torch.nn.Module, kind: str, path: Path) -> Path:
    """A checkpoint file whose projections have the sizes of those of a model of diffusers."""
    content, generator = checkpoint_files.tensors(kind), torch.Generator().manual_seed(5)
    for name in checkpoint_files.projection_names(kind):
        shape = unet.get_submodule(module_name(name)).weight.shape
        content[f"model.diffusion_model.{name}"] = torch.randn(shape, generator=generator).half()
    return checkpoint_files.write(path, content)


def load(diffusers: Any, kind: str, unet: torch.nn.Module, file: Path) -> None:
    """What `pipeline.load_lora_weights` does with the UNet's part of a file."""
    pipeline = diffusers.StableDiffusionXLPipeline if kind == "SDXL" else diffusers.StableDiffusionPipeline
    more = {"unet_config": unet.config} if kind == "SDXL" else {}
    content, alphas = pipeline.lora_state_dict(str(file.parent), weight_name=file.name, local_files_only=True, **more)
    pipeline.load_lora_into_unet(content, network_alphas=alphas, unet=unet, adapter_name="erased")


@pytest.mark.parametrize("rank", RANKS.values(), ids=RANKS)
def test_diffusers_applies_what_the_edit_does(
    rank: Rank, erased: tuple[str, Path, Edit, dict[str, torch.Tensor]], diffusers: Any, tmp_path: Path
) -> None:
    kind, source, edit, truth = erased
    unet, file = random_unet(diffusers, kind), tmp_path / "lora.safetensors"
    with Checkpoint(source) as checkpoint:
        said = FORMATS["lora"](edit, checkpoint, file, Options(rank, "fp32"), silent)
    assert len(set(said.ranks.values())) > 1 or rank == Rank(3)
    load(diffusers, kind, unet, file)
    found = {name: layer for name, layer in unet.named_modules() if re.search(r"attn2\.to_[kv]$", name)}
    assert found.keys() == {module_name(name) for name in truth}
    for name, wanted in truth.items():
        layer, states = found[module_name(name)], torch.eye(wanted.shape[1])
        with torch.no_grad():
            change = (layer(states) - layer.base_layer(states)).T
        missing = ((change - wanted).norm() / wanted.norm()).item()
        assert missing == pytest.approx(said.residuals[name], rel=1e-3, abs=1e-5)
    adapted = {name for name, layer in unet.named_modules() if hasattr(layer, "base_layer")}
    assert adapted == found.keys()  # and nothing else is changed


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Edit]:
    """A small checkpoint and an edit of it."""
    path = tmp_path_factory.mktemp("small") / "source.safetensors"
    return checkpoint_files.write(path, checkpoint_files.tensors()), checkpoint_files.edit_for(path)


@pytest.mark.parametrize("rank", RANKS.values(), ids=RANKS)
@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_all_matrices_of_a_file_have_one_rank_and_say_so(
    rank: Rank, dtype: str, small: tuple[Path, Edit], tmp_path: Path
) -> None:
    (source, edit), file = small, tmp_path / "lora.safetensors"
    with Checkpoint(source) as checkpoint:
        said = FORMATS["lora"](edit, checkpoint, file, Options(rank, dtype), silent)
    content = load_file(file)
    assert said.rank == max(said.ranks.values()) and (len(set(said.ranks.values())) > 1 or rank == Rank(3))
    assert said.size == sum(value.nbytes for value in content.values())
    needed = []
    for key in [key for key in content if key.endswith(".alpha")]:
        up, down = (content[key.replace("alpha", f"lora_{part}.weight")] for part in ("up", "down"))
        assert content[key].item() == len(down) == up.shape[1] == said.rank
        used = (up.count_nonzero(dim=0) > 0) & (down.count_nonzero(dim=1) > 0)
        needed.append(int(used.sum()))
        assert used[: needed[-1]].all()  # the rest is zeros
    assert len(content) == 3 * len(needed) == 3 * len(said.ranks)
    assert sorted(needed) == sorted(said.ranks.values())
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    assert metadata["ss_network_dim"] == metadata["ss_network_alpha"] == str(said.rank)
    low = min(said.ranks.values())
    assert f"MB, rank {said.rank} for all (they need ranks {low} to {said.rank})" in said.render("here")
