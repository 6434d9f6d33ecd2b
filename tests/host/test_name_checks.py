"""Which tokeniser checks names: told from the file of the text encoder that a loader on the page names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.host.measure import NameMeasure
from pack.nodes.host.name_checks import NameChecks
from pack.nodes.host.text_encoder import ClipEncoder
from pack.nodes.host.tokenizer import tokens_here
from pack.nodes.host.vocabularies import BERT, GEMMA, LLAMA, PILE_T5, QWEN, UMT5, Vocabulary
from pack.scapre.concepts.name_check import NameCheck
from pack.tests.host import encoders

T5 = {"shared.weight": torch.zeros(32_128, 1), "encoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(1)}
_LAYER = "model.layers.0."
MT5 = {**T5, "shared.weight": torch.zeros(250_112, 1), "spiece_model": encoders.vocabulary()}
CLIP = {"text_model.embeddings.token_embedding.weight": torch.zeros(1)}
BERT_FILE = {"bert.embeddings.word_embeddings.weight": torch.zeros(1)}


def language_model(width: int, *names: str, tokens: int = 8, **more: Tensor) -> dict[str, Tensor]:
    """What tells a language model."""
    embeddings = {"model.embed_tokens.weight": torch.zeros(tokens, width)}
    return embeddings | {f"{_LAYER}{name}": torch.zeros(1) for name in ("self_attn.q_proj.weight", *names)} | more


FILES = {
    "t5": T5,
    "umt5": MT5,
    "umt5 without words": {**T5, "shared.weight": torch.zeros(256_384, 1)},
    "pile t5": {**T5, "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight": torch.zeros(1)},
    "letters": {**T5, "shared.weight": torch.zeros(1510, 1)},
    "anima": language_model(1024, "self_attn.q_norm.weight"),
    "qwen3": language_model(2560, "self_attn.q_norm.weight"),
    "qwen2.5": language_model(3584, "self_attn.k_proj.bias"),
    "gemma": language_model(2304, "post_feedforward_layernorm.weight", spiece_model=encoders.vocabulary(start=2)),
    "llama": language_model(4096),
    "mistral without words": language_model(1, tokens=131_072),
    "mistral with broken ones": language_model(1, tokens=131_072, tekken_model=torch.zeros(4, dtype=torch.uint8)),
    "umt5 with broken ones": {**MT5, "spiece_model": torch.zeros(4, dtype=torch.uint8)},
    "bert": BERT_FILE,
    "clip": CLIP,
    "other": {"some.weight": torch.zeros(1)},
}


def inside(name: str, content: dict[str, Tensor]) -> dict[str, Tensor]:
    """As a checkpoint has an encoder."""
    return {f"text_encoders.{name}.transformer.{key}": value.clone() for key, value in content.items()}


INSIDE = {
    "t5 inside": inside("t5base", T5),
    "clip inside": {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": torch.zeros(1)},
    "hunyuan dit": inside("hydit_clip", BERT_FILE) | inside("mt5xl", MT5),
    "flux": inside("clip_l", CLIP) | inside("t5xxl", T5),
    "sd3": inside("clip_l", CLIP) | inside("clip_g", CLIP) | inside("t5xxl", T5),
}
CLIP_WAY, T5_WAY, BERT_WAY = ["carav", "aggio"], ["Car", "ava", "ggi", "o"], ["cara", "va", "ggio"]
PILE_WAY, QWEN_WAY, LLAMA_WAY = (["Car", "av", "aggio"],) * 3


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


@pytest.fixture(scope="module")
def packed(folder: Path) -> Iterator[Path]:
    """The folder of text encoders with GGUF files, which a pack that reads such files lists under a name of its own."""
    from pack.tests.host import gguf_files  # skips where its package is not installed

    there = folder / "text_encoders"
    for name, options in PACKED.items():
        gguf_files.write(there / f"{name}.gguf", **options)
    (there / "broken.gguf").write_bytes(b"GGUF" + bytes(8))
    folder_paths.folder_names_and_paths["clip_gguf"] = ([str(there)], {".gguf"})
    yield there
    del folder_paths.folder_names_and_paths["clip_gguf"]


PACKED: dict[str, dict[str, Any]] = {
    "t5": {"kind": "t5encoder", "tokens": 32_128},
    "pile t5": {"kind": "t5", "tokens": 32_128, "own_positions": True},
    "umt5": {"kind": "t5encoder", "tokens": 256_384, "vocabulary": encoders.vocabulary(of_bytes=True)},
    "umt5 without bytes": {"kind": "t5encoder", "tokens": 256_384, "vocabulary": encoders.vocabulary()},
    "umt5 without words": {"kind": "t5encoder", "tokens": 256_384},
    "letters": {"kind": "t5encoder", "tokens": 1510},
    "anima": {"kind": "qwen3", "tokens": 8, "width": 1024},
    "qwen3": {"kind": "qwen3", "tokens": 8, "width": 2560},
    "qwen2.5": {"kind": "qwen2vl", "tokens": 8, "width": 3584},
    "llama": {"kind": "llama", "tokens": 128_256},
    "mistral": {"kind": "llama", "tokens": 131_072},
    "other": {"kind": "gemma3", "tokens": 8, "width": 2560},
}


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
        (["text_encoders/anima"], T5_WAY),
        (["text_encoders/qwen3"], QWEN_WAY),
        (["text_encoders/qwen2.5"], QWEN_WAY),
        (["text_encoders/qwen2.5", "text_encoders/letters"], QWEN_WAY),
        (["text_encoders/clip", "text_encoders/qwen2.5"], QWEN_WAY),
        (["text_encoders/clip", "text_encoders/llama"], LLAMA_WAY),
        (["text_encoders/pile t5"], PILE_WAY),
        (["text_encoders/bert", "text_encoders/umt5"], BERT_WAY),
        (["text_encoders/umt5", "text_encoders/bert"], BERT_WAY),
        (["checkpoints/hunyuan dit"], BERT_WAY),
        (["checkpoints/flux"], T5_WAY),
        (["checkpoints/sd3"], CLIP_WAY),
        (["text_encoders/mistral without words"], CLIP_WAY),
        (["text_encoders/mistral with broken ones"], CLIP_WAY),
        (["text_encoders/umt5 with broken ones"], CLIP_WAY),
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


@pytest.mark.usefixtures("packed")
@pytest.mark.parametrize(
    ("files", "way"),
    [
        (["t5.gguf"], T5_WAY),
        (["pile t5.gguf"], PILE_WAY),
        (["anima.gguf"], T5_WAY),
        (["qwen3.gguf"], QWEN_WAY),
        (["qwen2.5.gguf"], QWEN_WAY),
        (["qwen2.5.gguf", "letters.gguf"], QWEN_WAY),
        (["clip.safetensors", "t5.gguf"], T5_WAY),
        (["clip.safetensors", "llama.gguf"], LLAMA_WAY),
        (["bert.safetensors", "umt5.gguf"], BERT_WAY),
        (["umt5 without words.gguf"], CLIP_WAY),
        (["umt5 without bytes.gguf"], CLIP_WAY),
        (["letters.gguf"], CLIP_WAY),
        (["mistral.gguf"], CLIP_WAY),
        (["other.gguf"], CLIP_WAY),
        (["broken.gguf"], CLIP_WAY),
        (["gone.gguf"], CLIP_WAY),
    ],
)
def test_names_are_cut_as_the_encoder_of_a_gguf_file_cuts_them(files: list[str], way: list[str]) -> None:
    assert pieces(NameChecks(), *(f"text_encoders/{file}" for file in files)) == way


@pytest.mark.usefixtures("packed")
def test_a_vocabulary_in_a_gguf_file_is_read_there() -> None:
    checks, wanted = NameChecks(), NameCheck(NameMeasure(UMT5, encoders.vocabulary(of_bytes=True)))
    for name in ("red cat", "Vincent van Gogh", "tulip  picture", "Beksiński"):
        (found,), (other,) = (
            checks.of(f"text_encoders/{one}.gguf").check(name, "", "")["rows"] for one in ("umt5", "t5")
        )
        assert found == wanted.check(name, "", "")["rows"][0] != other


@pytest.mark.usefixtures("folder")
def test_a_gguf_file_that_no_pack_lists_is_left_alone(folder: Path) -> None:
    (folder / "text_encoders" / "unlisted.gguf").write_bytes(b"GGUF")
    assert pieces(NameChecks(), "text_encoders/unlisted.gguf") == CLIP_WAY


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("file", "kind"), [("umt5", UMT5), ("gemma", GEMMA)])
def test_a_vocabulary_in_a_file_is_read_there(file: str, kind: Vocabulary) -> None:
    own = encoders.vocabulary(start=2) if kind is GEMMA else encoders.vocabulary()
    wanted = NameCheck(NameMeasure(kind, own))
    for name in ("red cat", "Vincent van Gogh"):
        (row,), (other,) = (
            NameChecks().of(f"text_encoders/{one}.safetensors").check(name, "", "")["rows"] for one in (file, "t5")
        )
        assert row == wanted.check(name, "", "")["rows"][0] != other


NAMES = ["red cat", "Vincent van Gogh", "Zdzisław Beksiński", "葛飾北斎 😀", "(cat:1.3)", "[SEP] O'Keeffe", "C++"]
WHOLE = {
    BERT: encoders.bert_and_mt5, PILE_T5: encoders.pile_t5xl, QWEN: encoders.z_qwen3, LLAMA: encoders.llama_and_clip,
}  # fmt: skip


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: str(kind.parts[0]))
def test_names_are_cut_as_the_node_cuts_them(kind: Vocabulary) -> None:
    """Inside a model's template, too."""
    check, node = NameCheck(NameMeasure(kind)), ClipEncoder(WHOLE[kind]())
    for name in NAMES:
        ids = list(node.tokens(name))
        assert list(tokens_here(name, kind)) == ids
        (row,) = check.check(f'"{name}"', "", "")["rows"]
        assert row["tokens"] == len(ids)
        assert ids or row["notes"] == [{"kind": "odd", "pieces": ("\ufffd",)}]  # Llama's, as some versions load it


@pytest.mark.parametrize(
    ("kind", "name", "odd"),
    [
        (BERT, "Zdzisław Beksiński", []), (BERT, "red ☃", [("\ufffd",)]), (BERT, "xqzjvw", [tuple("xqzjvw")]),
        (QWEN, "Zdzisław Beksiński", []), (QWEN, "Cézanne", []),
        (QWEN, "xqzjvwk qq", [("x", "q", "z", "j", "vw", "k")]),
    ],
)  # fmt: skip
def test_odd_words_are_those_in_bits(kind: Vocabulary, name: str, odd: list[tuple[str, ...]]) -> None:
    (row,) = NameCheck(NameMeasure(kind)).check(name, "", "")["rows"]
    assert [note["pieces"] for note in row["notes"] if note["kind"] == "odd"] == odd


def test_a_file_that_was_replaced_is_read_again(folder: Path) -> None:
    checks, file = NameChecks(), folder / "text_encoders" / "changing.safetensors"
    write(file, FILES["clip"])
    assert pieces(checks, f"text_encoders/{file.name}") == CLIP_WAY
    write(file, T5)
    assert pieces(checks, f"text_encoders/{file.name}") == T5_WAY
    assert checks.of(f"text_encoders/{file.name}") is checks.of(f"text_encoders/{file.name}")
    file.unlink()
