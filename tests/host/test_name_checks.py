"""Which tokeniser checks names: told from the file of the text encoder that a loader on the page names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import folder_paths
import pytest
import torch
from comfy.text_encoders import wan
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.host.measure import NameMeasure
from pack.nodes.host.name_checks import NameChecks
from pack.nodes.host.tokenizer import NameTokenizer
from pack.scapre.concepts.name_check import NameCheck
from pack.tests.host import encoders

T5 = {"shared.weight": torch.zeros(32_128, 1), "encoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(1)}
FILES = {
    "t5": T5,
    "umt5": {**T5, "shared.weight": torch.zeros(256_384, 1), "spiece_model": encoders.vocabulary()},
    "umt5 without words": {**T5, "shared.weight": torch.zeros(256_384, 1)},
    "qwen3": {"model.layers.0.self_attn.q_norm.weight": torch.zeros(1)},
    "clip": {"text_model.embeddings.token_embedding.weight": torch.zeros(1)},
    "other": {"some.weight": torch.zeros(1)},
}
INSIDE = {
    "t5 inside": {f"text_encoders.t5base.transformer.{name}": value for name, value in T5.items()},
    "clip inside": {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": torch.zeros(1)},
}
CLIP_WAY, T5_WAY = ["carav", "aggio"], ["Car", "ava", "ggi", "o"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders of models with a file of each kind."""
    root = tmp_path_factory.mktemp("models")
    before = {name: folder_paths.folder_names_and_paths[name] for name in ("text_encoders", "checkpoints")}
    for name, files in (("text_encoders", FILES), ("checkpoints", INSIDE)):
        (root / name).mkdir()
        folder_paths.folder_names_and_paths[name] = ([str(root / name)], before[name][1])
        for file, content in files.items():
            write(root / name / f"{file}.safetensors", content)
    (root / "text_encoders" / "broken.safetensors").write_bytes(b"none")
    write(root / "outside.safetensors", T5)
    folder_paths.filename_list_cache.clear()
    yield root
    folder_paths.folder_names_and_paths.update(before)
    folder_paths.filename_list_cache.clear()


def write(path: Path, content: dict[str, Tensor]) -> None:
    save_file(content, path)


def pieces(checks: NameChecks, *files: str) -> list[str]:
    (row,) = checks.of("\n".join(files)).check("Caravaggio", "", "")["rows"]
    return list(row["pieces"])


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("files", "way"),
    [
        (["text_encoders/t5"], T5_WAY),
        (["text_encoders/qwen3"], T5_WAY),
        (["checkpoints/t5 inside"], T5_WAY),
        (["text_encoders/t5", "text_encoders/t5"], T5_WAY),
        (["text_encoders/clip"], CLIP_WAY),
        (["checkpoints/clip inside"], CLIP_WAY),
        (["text_encoders/clip", "text_encoders/t5"], T5_WAY),
        (["text_encoders/clip", "text_encoders/t5", "text_encoders/clip"], CLIP_WAY),
        (["text_encoders/clip", "text_encoders/clip"], CLIP_WAY),
        (["text_encoders/other"], CLIP_WAY),
        (["text_encoders/broken"], CLIP_WAY),
        (["text_encoders/umt5 without words"], CLIP_WAY),
        (["text_encoders/gone"], CLIP_WAY),
        (["text_encoders/../outside"], CLIP_WAY),
        (["vae/t5"], CLIP_WAY),
        ([""], CLIP_WAY),
        ([], CLIP_WAY),
    ],
)
def test_names_are_cut_as_the_encoder_of_a_file_cuts_them(files: list[str], way: list[str]) -> None:
    assert pieces(NameChecks(), *(f"{file}.safetensors" for file in files)) == way


@pytest.mark.usefixtures("folder")
def test_umt5_cuts_with_the_vocabulary_in_its_file() -> None:
    tokenizer = wan.WanT5Tokenizer(tokenizer_data={"spiece_model": encoders.vocabulary()})
    wanted = NameCheck(NameMeasure(lambda: NameTokenizer(tokenizer), of_clip=False))
    for name in ("red cat", "Vincent van Gogh"):
        (row,), (other,) = (
            check.check(name, "", "")["rows"]
            for check in (
                NameChecks().of("text_encoders/umt5.safetensors"),
                NameChecks().of("text_encoders/t5.safetensors"),
            )
        )
        assert row == wanted.check(name, "", "")["rows"][0] != other


def test_a_file_that_was_replaced_is_read_again(folder: Path) -> None:
    checks, file = NameChecks(), folder / "text_encoders" / "changing.safetensors"
    write(file, FILES["clip"])
    assert pieces(checks, f"text_encoders/{file.name}") == CLIP_WAY
    write(file, T5)
    assert pieces(checks, f"text_encoders/{file.name}") == T5_WAY
    assert checks.of(f"text_encoders/{file.name}") is checks.of(f"text_encoders/{file.name}")
    file.unlink()
