"""What a written checkpoint holds beside the edited matrices: edited too, left out, or named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.export import FORMATS, Exported, Options
from pack.scapre.export.names import by_blocks, by_path
from pack.scapre.methods.scapre.settings import PRESETS
from pack.scapre.progress import silent
from pack.tests import checkpoint_files

PREFIX = "model.diffusion_model."


def ema(path: str, kind: str) -> str:
    """As the class LitEma of the released training code names its averages: a dot cannot be in a buffer's name."""
    return "model_ema." + f"diffusion_model.{path}".replace(".", "")


def diffusers(path: str, kind: str) -> str:
    """As diffusers names a module."""
    names = [f"diffusion_model.{name}" for name in checkpoint_files.projection_names(kind)]
    file = by_blocks(names)[f"diffusion_model.{path}"].removeprefix("lora_unet_").replace("_", ".")
    for word in ("down_blocks", "up_blocks", "mid_block", "transformer_blocks", "to_k", "to_v"):
        file = file.replace(word.replace("_", "."), word)
    return f"unet.{file}.weight"


def lora_named(path: str, kind: str) -> str:
    """As LoRA files name a module, with the whole weight."""
    names = [f"diffusion_model.{name}" for name in checkpoint_files.projection_names(kind)]
    return f"{by_path(names)[f'diffusion_model.{path}']}.weight"


NAMINGS: dict[str, Callable[[str, str], str]] = {
    "averages": ema,
    "second model": lambda path, kind: f"diffusion_model.{path}",
    "bare": lambda path, kind: path,
    "ControlNet": lambda path, kind: f"control_model.{path}",
    "unknown prefix": lambda path, kind: f"teacher.module.{path}",
    "diffusers": diffusers,
    "LoRA's names": lora_named,
}


def with_copies(kind: str, naming: Callable[[str, str], str], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A checkpoint whose keys and values are there twice; averages differ a little from what they are of."""
    content = checkpoint_files.tensors(kind)
    generator = torch.Generator().manual_seed(3)
    copies = {
        naming(path, kind): (w := content[PREFIX + path].float()) + 0.01 * torch.randn(w.shape, generator=generator)
        for path in checkpoint_files.projection_names(kind)
    }
    return content | {name: value.to(dtype) for name, value in copies.items()}


def export(
    folder: Path,
    content: dict[str, Tensor],
    metadata: dict[str, str] | None = None,
    options: Options | None = None,
    preset: str = "objects-few",
) -> tuple[Exported, dict[str, Tensor], dict[str, str], Callable[[str, Tensor], Tensor]]:
    """Writes a checkpoint with an edit; gives the result, what it holds, and the edit's changes."""
    source = checkpoint_files.write(folder / "source.safetensors", content, metadata)
    edit = checkpoint_files.edit_for(source, "cat -> dog\nVincent van Gogh", PRESETS[preset].settings)
    with Checkpoint(source) as checkpoint:
        out = folder / "out.safetensors"
        said = FORMATS["checkpoint"](edit, checkpoint, out, options or Options(), silent)
    with safe_open(out, "pt") as file:
        return said, load_file(out), file.metadata(), edit.delta


@pytest.mark.parametrize(
    ("naming", "kind", "preset"),
    [
        *((naming, "SD15", "objects-few") for naming in NAMINGS),
        ("averages", "SD15", "objects-many"),
        ("averages", "SDXL", "objects-few"),
        ("diffusers", "KOALA_700M", "objects-few"),
        ("LoRA's names", "KOALA_700M", "objects-few"),
    ],
)
def test_copies_are_edited_from_their_own_values(tmp_path: Path, naming: str, kind: str, preset: str) -> None:
    name = NAMINGS[naming]
    content = with_copies(kind, name)
    said, found, _, delta = export(tmp_path, content, preset=preset)
    paths = checkpoint_files.projection_names(kind)
    assert found.keys() == content.keys()
    for path in paths:
        copy = name(path, kind)
        assert found[copy].dtype == torch.float32
        assert torch.equal(found[copy], content[copy] + delta(f"diffusion_model.{path}", content[copy]))
        assert not torch.equal(found[copy], content[copy])
    changed = {key for key in content if not torch.equal(content[key], found[key])}
    assert changed == {name(path, kind) for path in paths} | {PREFIX + path for path in paths}
    (note,) = said.notes
    assert note.startswith(f"{len(paths)} copies (such as ") and "were edited too" in note


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_copies_keep_their_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    content = with_copies("SD15", ema, dtype)
    _, found, _, delta = export(tmp_path, content)
    path = checkpoint_files.projection_names("SD15")[3]
    before = content[ema(path, "SD15")].float()
    assert torch.equal(found[ema(path, "SD15")], (before + delta(f"diffusion_model.{path}", before)).to(dtype))


K = "input_blocks.1.1.transformer_blocks.0.attn2.to_k"
UNEDITABLE = {
    "quantised": (f"diffusion_model.{K}.weight", torch.zeros(24, 768).to(torch.float8_e4m3fn)),
    "other shape": (f"diffusion_model.{K}.weight", torch.zeros(24, 640)),
    "other place": ("motion.blocks.9.attn2.to_k.weight", torch.zeros(24, 768)),
    "no dots": ("model_ema.motionblocks9attn2to_vweight", torch.zeros(24, 768)),
    "LoRA": (f"lora_unet_{K.replace('.', '_')}.lora_down.weight", torch.zeros(4, 768)),
    "LoRA of diffusers": ("unet.down_blocks.0.attn2.processor.to_k_lora.down.weight", torch.zeros(4, 768)),
    "LoRA of PEFT": ("unet.down_blocks.0.attentions.0.attn2.to_v.lora_A.weight", torch.zeros(4, 768)),
    "fused": ("unet.down_blocks.0.attentions.0.attn2.to_kv.weight", torch.zeros(48, 768)),
    "no numbers": (ema(f"{K}.weight", "SD15"), torch.full((24, 768), float("nan"))),
    "too large to compute with": (ema(f"{K}.weight", "SD15"), torch.full((24, 768), 1e300, dtype=torch.float64)),
}


@pytest.mark.parametrize("kind", UNEDITABLE)
def test_what_cannot_be_edited_is_copied_and_named(tmp_path: Path, kind: str) -> None:
    name, value = UNEDITABLE[kind]
    said, found, _, _ = export(tmp_path, checkpoint_files.tensors() | {name: value})
    assert torch.equal(found[name].view(torch.uint8), value.view(torch.uint8))
    (note,) = said.notes
    assert note.startswith(f'1 tensor (such as "{name}")') and "could not be edited" in note


# Marks of a class, and its layers with the parts of each; blocks are named in front of them.
TRANSFORMERS = {
    "PixArtSigma": ("t_block.1.weight", "blocks.{}.", {"cross_attn.kv_linear": 2}),
    "WAN21_T2V": ("head.modulation", "blocks.{}.", {"cross_attn.k": 1, "cross_attn.v": 1}),
    "CosmosT2V": (
        "blocks.block0.blocks.0.block.attn.to_q.0.weight", "blocks.block{}.",
        {"blocks.1.block.attn.to_k.0": 1, "blocks.1.block.attn.to_v.0": 1},
    ),
    "StableAudio": ("transformer.rotary_pos_emb.inv_freq", "transformer.layers.{}.", {"cross_attn.to_kv": 2}),
    "LTXV": (
        "adaln_single.emb.timestep_embedder.linear_1.bias", "transformer_blocks.{}.",
        {"attn2.to_k": 1, "attn2.to_v": 1},
    ),
}  # fmt: skip


def transformer(kind: str) -> dict[str, Tensor]:
    """A checkpoint of a transformer, whose blocks are more than ten."""
    mark, block, layers = TRANSFORMERS[kind]
    generator = torch.Generator().manual_seed(1)
    return {PREFIX + mark: torch.zeros(8, 8)} | {
        f"{PREFIX}{block.format(number)}{layer}.weight": torch.randn(12 * count, 16, generator=generator) / 4
        for number in range(12)
        for layer, count in layers.items()
    }


@pytest.mark.parametrize("kind", TRANSFORMERS)
@pytest.mark.parametrize("naming", ["averages", "second model", "unknown prefix"])
def test_copies_of_transformers_are_edited_too(tmp_path: Path, kind: str, naming: str) -> None:
    own = transformer(kind)
    paths = [name.removeprefix(PREFIX) for name in own if not name.endswith(TRANSFORMERS[kind][0])]
    copies = {NAMINGS[naming](path, kind): own[PREFIX + path] + 0.01 for path in paths}
    said, found, _, delta = export(tmp_path, own | copies)
    counts = TRANSFORMERS[kind][2]
    for path in paths:
        count = next(count for layer, count in counts.items() if path.endswith(f"{layer}.weight"))
        names = [f"diffusion_model.{path}" + (f"[{n + 1}/{count}]" if count > 1 else "") for n in range(count)]
        for name in (PREFIX + path, NAMINGS[naming](path, kind)):
            before = (own | copies)[name]
            wanted = torch.cat([w + delta(n, w) for n, w in zip(names, before.chunk(count), strict=True)])
            assert torch.equal(found[name], wanted) and not torch.equal(found[name], before)
    (note,) = said.notes
    assert note.startswith(f"{len(paths)} copies (such as ") and "were edited too" in note


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("PixArtSigma", "lora_unet_blocks_0_cross_attn_kv_linear.lora_down.weight"),
        ("WAN21_T2V", "teacher.blocks.99.cross_attn.k.weight"),
        ("WAN21_T2V", "diffusion_model.blocks.0.cross_attn.v.lora_up.weight"),
        ("WAN21_T2V", "transformer.blocks.0.attn2.to_k.weight"),
    ],
)
def test_what_transformers_hold_beside_them_is_named(tmp_path: Path, kind: str, name: str) -> None:
    said, _, _, _ = export(tmp_path, transformer(kind) | {name: torch.zeros(4, 16)})
    (note,) = said.notes
    assert note.startswith(f'1 tensor (such as "{name}")') and "could not be edited" in note


def test_what_reads_pictures_or_sound_in_transformers_is_none_of_it(tmp_path: Path) -> None:
    names = [
        f"{PREFIX}blocks.0.cross_attn.k_img.weight", f"{PREFIX}blocks.0.cross_attn.norm_k.weight",
        f"{PREFIX}blocks.0.audio_cross_attn_wrapper.audio_cross_attn.k.weight",
        "text_encoders.umt5xxl.transformer.encoder.block.0.layer.0.SelfAttention.k.weight",
    ]  # fmt: skip
    said, _, _, _ = export(tmp_path, transformer("WAN21_T2V") | {name: torch.zeros(12, 16) for name in names})
    assert said.notes == ()


def test_nothing_is_said_where_there_is_nothing(tmp_path: Path) -> None:
    harmless = {
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.diffusion_modelinput_blocks11transformer_blocks0attn1to_kweight": torch.zeros(24, 24),
        f"{PREFIX}input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight": torch.zeros(24, 24),
        "ip_adapter.1.attn2.processor.to_k_ip.weight": torch.zeros(24, 768),  # it reads pictures
    }
    said, found, _, _ = export(tmp_path, checkpoint_files.tensors() | harmless)
    assert said.notes == ()
    assert all(torch.equal(found[name], value) for name, value in harmless.items())


def test_embeddings_in_the_file_are_named(tmp_path: Path) -> None:
    content = checkpoint_files.tensors() | {"bundle_emb.gogh.string_to_param.*": torch.zeros(2, 768)}
    said, _, _, _ = export(tmp_path, content)
    (note,) = said.notes
    assert "bundle_emb.gogh" in note and "bring it back" in note


# --- metadata ---

PICTURE = "data:image/jpeg;base64,/9j/4AAQ"
KEPT = {"format": "pt", "author": "somebody", "modelspec.title": "My model", "ss_tag_frequency": '{"1_x": {"sky": 2}}'}
TELLING = {
    "prompt": json.dumps({"4": {"inputs": {"concepts": "nothing that is told here"}}}),
    "workflow": "{}",
    "modelspec.description": "Trained on VINCENT_van-gogh.",
    "ss_tags": json.dumps({"cat": 3}),
    "vincent van gogh": "yes",
}
SHOWING = {"modelspec.thumbnail": PICTURE, "ssmd_cover_images": "[]", "notes": f"see {PICTURE}"}
BEFORE = {
    "modelspec.hash_sha256": "0x1", "sshs_model_hash": "2", "sshs_legacy_hash": "3",
    "scapre.concepts": '[["tulip", ""]]', "scapre.method": "another",
}  # fmt: skip


def test_metadata_that_show_the_model_before_are_left_out(tmp_path: Path) -> None:
    said, _, found, _ = export(tmp_path, checkpoint_files.tensors(), KEPT | TELLING | SHOWING | BEFORE)
    assert {key: text for key, text in found.items() if not key.startswith("scapre.")} == KEPT | TELLING
    assert json.loads(found["scapre.concepts"]) == [["cat", "dog"], ["Vincent van Gogh", ""]]
    assert "scapre.method" not in found
    (note,) = said.notes
    assert all(key in note for key in SHOWING) and "show the model before" in note


def test_without_names_no_entry_tells_them(tmp_path: Path) -> None:
    out, options = tmp_path / "out.safetensors", Options(names=False)
    said, _, found, _ = export(tmp_path, checkpoint_files.tensors(), KEPT | TELLING | SHOWING | BEFORE, options)
    assert {key: text for key, text in found.items() if not key.startswith("scapre.")} == KEPT
    assert "scapre.concepts" not in found
    shown, told = said.notes
    assert all(key in shown for key in SHOWING)
    assert all(key in told for key in TELLING) and "names" in told
    assert not re.search(rb"gogh|tulip|\bcat\b|dog", out.read_bytes()[:20_000], re.IGNORECASE)


@pytest.mark.parametrize("text", ["a Catalogue of modifications", "concatenated", "dogma"])
def test_a_name_inside_a_word_tells_nothing(tmp_path: Path, text: str) -> None:
    said, _, found, _ = export(tmp_path, checkpoint_files.tensors(), {"about": text}, Options(names=False))
    assert found["about"] == text and said.notes == ()
