"""Text encoders in files of their own: CLIP beside a UNet alone, and T5 on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import comfy.sd
import comfy.supported_models as supported
import pytest
import torch
from comfy import sdxl_clip
from comfy.supported_models_base import ClipTarget
from safetensors.torch import load_file, save_file
from torch import Tensor

from pack.nodes.host.text_encoder import ClipEncoder
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.clip_files import clip_from_files
from pack.scapre.checkpoints.t5_files import OPTION
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.checkpoints.tokenizer import Tokenizer
from pack.scapre.checkpoints.towers import TOWERS
from pack.scapre.cli import main
from pack.scapre.errors import ScaPreError
from pack.scapre.files import read_edit
from pack.scapre.progress import silent
from pack.tests import checkpoint_files
from pack.tests.host import models
from pack.tests.host.test_t5_encoder import content, weights_of
from pack.tests.host.transformers import KINDS

TEXTS = ["", "cat", "a painting by Hieronymus Bosch", "(cat:1.3) \\(escaped\\)"]
_MODEL = "model.diffusion_model."

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


def saved(path: Path, weights: dict[str, Tensor]) -> Path:
    save_file({name: value.contiguous().clone() for name, value in weights.items()}, path)
    return path


# --- CLIP ---


@pytest.fixture(scope="module")
def sdxl() -> comfy.sd.CLIP:
    """SDXL's encoders with heads as wide as the real ones have."""
    sizes = {
        f"clip_{tower}_model_config": {
            "hidden_size": 64 * heads, "num_hidden_layers": 3, "num_attention_heads": heads, "intermediate_size": 128,
        }
        for tower, heads in (("l", 1), ("g", 2))
    }  # fmt: skip
    target = ClipTarget(sdxl_clip.SDXLTokenizer, sdxl_clip.SDXLClipModel)
    clip = comfy.sd.CLIP(target, model_options={**sizes, "dtype": torch.float32})
    models.fill(clip.cond_stage_model, 0)
    return clip


def parts(clip: comfy.sd.CLIP, folder: Path, *, open_clip: bool) -> list[Path]:
    """A file of each encoder, under the names of transformers; CLIP-G's under open_clip's, if that is wanted."""
    model = clip.cond_stage_model
    stored = {name: getattr(model, f"clip_{name}").transformer.state_dict() for name in "gl"}
    if open_clip:
        whole = supported.SDXL(models.unet_settings()).process_clip_state_dict_for_saving(dict(model.state_dict()))
        start = "conditioner.embedders.1.model."
        stored["g"] = {name.removeprefix(start): value for name, value in whole.items() if name.startswith(start)}
    return [saved(folder / f"clip_{name}.safetensors", weights) for name, weights in stored.items()]


@pytest.mark.parametrize("open_clip", [False, True])
def test_encoders_of_clip_in_files_give_the_hosts_states(sdxl: comfy.sd.CLIP, open_clip: bool, tmp_path: Path) -> None:
    small = [replace(tower, heads=heads, layers=2) for tower, heads in zip(TOWERS["SDXL"], (1, 2), strict=True)]
    one, other = parts(sdxl, tmp_path, open_clip=open_clip)
    with TensorFile(one, OPTION) as first, TensorFile(other, OPTION) as second:
        encoder = clip_from_files([first, second], small, "SDXL", Tokenizer())
        found, vectors = encoder.encode(TEXTS, silent), encoder.pooled(TEXTS)
    wanted, its = ClipEncoder(sdxl).encode(TEXTS, silent), ClipEncoder(sdxl).pooled(TEXTS)
    assert (found - wanted).norm() <= 1e-5 * wanted.norm()
    assert vectors.shape == its.shape and (vectors - its).norm() <= 1e-5 * its.norm()


def test_a_file_without_the_projection_of_the_pooled_vector_is_refused(sdxl: comfy.sd.CLIP, tmp_path: Path) -> None:
    small = [replace(tower, heads=heads, layers=2) for tower, heads in zip(TOWERS["SDXL"], (1, 2), strict=True)]
    one, other = parts(sdxl, tmp_path, open_clip=False)
    for file in (one, other):
        saved(file, {name: value for name, value in load_file(file).items() if "projection" not in name})
    with TensorFile(one, OPTION) as first, TensorFile(other, OPTION) as second:
        encoder = clip_from_files([first, second], small, "SDXL", Tokenizer())
        with pytest.raises(ScaPreError, match=r"text_projection is missing.*--pooled off"):
            encoder.pooled(["cat"])
        with pytest.raises(ScaPreError, match="read no pooled vector"):
            replaced = [replace(tower, pools=False) for tower in small]
            clip_from_files([first, second], replaced, "SDXL", Tokenizer()).pooled(["cat"])


def marked(path: Path, width: int) -> Path:
    """A file that begins as a CLIP of this width does."""
    return saved(path, {"text_model.embeddings.token_embedding.weight": torch.zeros(2, width)})


@pytest.mark.parametrize(
    ("family", "widths", "said"),
    [
        ("SDXL", (768,), "is CLIP-L, and SDXL models read CLIP-L and CLIP-G. Give the file of each"),
        ("SDXL", (768, 1280, 1024), "is OpenCLIP-H, and SDXL models read CLIP-L and CLIP-G"),
        ("SD1.x", (1280,), "is CLIP-G, and SD1.x models read CLIP-L"),
        ("SD2.x", (768,), "is CLIP-L, and SD2.x models read OpenCLIP-H"),
    ],
)
def test_another_clip_is_refused_by_name(family: str, widths: Sequence[int], said: str, tmp_path: Path) -> None:
    files = [TensorFile(marked(tmp_path / f"{width}.safetensors", width), OPTION) for width in widths]
    with pytest.raises(ScaPreError, match=f"^--text-encoder: .*{said}"):
        clip_from_files(files, TOWERS[family], family, Tokenizer())


def test_t5_is_refused_for_a_unet(tmp_path: Path) -> None:
    model = checkpoint_files.write(tmp_path / "model.safetensors", checkpoint_files.tensors())
    t5 = saved(tmp_path / "t5.safetensors", content(KINDS["pixart"].encoder(), "pixart"))
    with Checkpoint(model) as checkpoint, TensorFile(t5, OPTION) as file:
        with pytest.raises(ScaPreError, match=r"is a T5 of width 32, and SD1\.x models read CLIP-L"):
            checkpoint.encoder(None, [file])
        with pytest.raises(ScaPreError, match=r"no text encoder .* --text-encoder"):
            checkpoint.encoder()


def test_a_unet_alone_with_clip_beside_it_is_the_whole_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    weights, start = load_file(tiny_checkpoint), "cond_stage_model.transformer."
    unet = saved(tmp_path / "unet.safetensors", {n: v for n, v in weights.items() if n.startswith(_MODEL)})
    inner = {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
    encoder = saved(tmp_path / "clip_l.safetensors", inner)
    (tmp_path / "names.txt").write_text("cat -> dog\nVincent van Gogh", encoding="utf-8")
    asked = ["--concepts", str(tmp_path / "names.txt"), "--method", "uce", "--out"]
    for out, given in (("whole", [tiny_checkpoint]), ("alone", [unet, "--text-encoder", encoder])):
        assert main(["erase", *map(str, given), *asked, str(tmp_path / f"{out}.safetensors")]) == 0
    one, other = (read_edit(tmp_path / f"{out}.safetensors") for out in ("whole", "alone"))
    assert one.same_as(other)


# --- T5 on the command line ---


@pytest.fixture(scope="module", params=["pixart", "wan"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's: a diffusion model, its text encoder, a list, and two edits."""
    place = tmp_path_factory.mktemp(request.param)
    saved(place / "model.safetensors", weights_of(request.param))
    saved(place / "encoder.safetensors", content(KINDS[request.param].encoder(), request.param))
    for number, names in enumerate(("cat\nVan Gogh -> art", "red house")):
        (place / f"{number}.txt").write_text(names, encoding="utf-8")
        assert run(place, "erase", *_GIVEN, "--concepts", f"{number}.txt", "--out", f"{number}.safetensors") == 0
    return place


_GIVEN = ("model.safetensors", "--text-encoder", "encoder.safetensors", "--method", "uce")


def run(folder: Path, command: str, *asked: str) -> int:
    """A command whose files are in a folder."""
    return main([command, *(str(folder / text) if "." in text else text for text in asked)])


def test_edits_are_verified_without_a_word_about_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("model.safetensors", "0.safetensors", "--text-encoder", "encoder.safetensors")
    assert run(folder, "verify", *asked) == 0
    said = capsys.readouterr()
    assert "Same weights" in said.out and "Note" not in said.err
    assert run(folder, "verify", "model.safetensors", "0.safetensors") == 0
    said = capsys.readouterr().err
    apart = "names were not compared: " in said and "Give --text-encoder the file of UMT5-XXL" in said
    assert apart == (folder.name.startswith("wan"))  # UMT5's vocabulary is in its file


@pytest.mark.parametrize("command", ["verify", "merge"])
def test_an_encoder_of_another_model_is_refused_where_it_only_cuts_names(
    folder: Path, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "wan" if folder.name.startswith("pixart") else "pixart"
    saved(tmp_path / "other.safetensors", content(KINDS[other].encoder(), other))
    asked = {
        "verify": ("verify", folder / "model.safetensors", folder / "0.safetensors"),
        "merge": ("merge", folder / "0.safetensors", folder / "1.safetensors", "--checkpoint",
                  folder / "model.safetensors", "--out", tmp_path / "out.safetensors"),
    }[command]  # fmt: skip
    assert main([*map(str, asked), OPTION, str(tmp_path / "other.safetensors")]) == 2
    assert "other.safetensors" in (said := capsys.readouterr().err) and "models read" in said
    assert not (tmp_path / "out.safetensors").exists()


def test_an_empty_vocabulary_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = load_file(folder / "encoder.safetensors")
    if "spiece_model" not in stored:
        pytest.skip("its vocabulary is not in the file")
    file = saved(tmp_path / "encoder.safetensors", stored | {"spiece_model": torch.zeros(0, dtype=torch.uint8)})
    given = ["--concepts", str(folder / "0.txt"), "--out", str(tmp_path / "out.safetensors")]
    assert main(["erase", str(folder / "model.safetensors"), OPTION, str(file), *given]) == 2
    assert "spiece_model" in capsys.readouterr().err


def test_a_model_that_lacks_a_projection_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(
        name for name in weights if name.endswith(("blocks.1.cross_attn.kv_linear.weight", "1.cross_attn.v.weight"))
    )
    cases = [({key: value for key, value in weights.items() if key != name}, "which other blocks of this")]
    if "kv" in name:
        cases.append((weights | {name: weights[name][:-1]}, "has the shape"))
    given = [OPTION, str(folder / "encoder.safetensors"), "--concepts", str(folder / "0.txt"), "--method", "uce"]
    for held, said in cases:
        file = saved(tmp_path / "model.safetensors", held)
        assert main(["erase", str(file), *given, "--out", str(tmp_path / "out.safetensors")]) == 2
        assert said in capsys.readouterr().err


def test_edits_are_merged_as_if_solved_at_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "both.txt").write_text("cat\nVan Gogh -> art\nred house", encoding="utf-8")
    assert run(folder, "erase", *_GIVEN, "--concepts", "both.txt", "--overwrite", "--out", "both.safetensors") == 0
    out = str(tmp_path / "merged.safetensors")
    given = ["--checkpoint", str(folder / "model.safetensors"), "--text-encoder", str(folder / "encoder.safetensors")]
    edits = [str(folder / f"{number}.safetensors") for number in range(2)]
    capsys.readouterr()
    assert main(["merge", *edits, *given, "--out", out]) == 0
    assert "other tokens" not in capsys.readouterr().out
    merged, whole = read_edit(Path(out)), read_edit(folder / "both.safetensors")
    assert [concept.text for concept in merged.concepts] == ["cat", "Van Gogh", "red house"]
    with Checkpoint(folder / "model.safetensors") as checkpoint:
        for name in whole.shapes:
            weight = checkpoint.read(name, models.CPU)
            wanted = whole.delta(name, weight)
            assert (merged.delta(name, weight) - wanted).norm() <= 1e-4 * wanted.norm()


def test_an_edit_of_transformers_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "inspect", "0.safetensors") == 0
    assert "Van Gogh -> art" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["erase", "merge"])
def test_a_text_encoder_is_never_written_to(folder: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "encoder.safetensors").read_bytes()
    asked = {
        "erase": ("model.safetensors", "--concepts", "0.txt"),
        "merge": ("0.safetensors", "1.safetensors", "--checkpoint", "model.safetensors"),
    }[command]
    target = ("--text-encoder", "encoder.safetensors", "--overwrite", "--out", "encoder.safetensors")
    assert run(folder, command, *asked, *target) == 2
    assert "is also an input" in capsys.readouterr().err
    assert (folder / "encoder.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("missing.safetensors", None, "--text-encoder: .* cannot be read"),
        ("t5.gguf", b"GGUF" + bytes(64), "--text-encoder: .* GGUF"),
        ("t5.pt", b"no one reads this", "--text-encoder: .* is a pickle file"),
        ("empty.safetensors", b"", "--text-encoder: .* is empty"),
    ],
)
def test_other_files_are_refused_by_what_they_are(
    folder: Path, name: str, data: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    given = [str(folder / "model.safetensors"), "--concepts", str(folder / "0.txt")]
    asked = ["--text-encoder", str(tmp_path / name), "--out", str(tmp_path / "out.safetensors")]
    assert main(["erase", *given, *asked]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not (tmp_path / "out.safetensors").exists()


def test_without_a_text_encoder_the_option_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(folder / "model.safetensors"), "--concepts", str(folder / "0.txt")]
    assert main(["erase", *given, "--out", str(tmp_path / "out.safetensors")]) == 2
    said = capsys.readouterr().err
    assert "has no text encoder" in said and "Give --text-encoder the file of" in said


def test_names_that_are_too_long_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "long.txt").write_text("a b " * 90, encoding="utf-8")
    given = [str(folder / "model.safetensors"), "--text-encoder", str(folder / "encoder.safetensors")]
    asked = ["--concepts", str(tmp_path / "long.txt"), "--method", "uce", "--out", str(tmp_path / "out.safetensors")]
    assert main(["erase", *given, *asked]) == 2
    assert "75 tokens" in capsys.readouterr().err
