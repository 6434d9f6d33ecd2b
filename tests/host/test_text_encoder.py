"""The text encoder that is read from a checkpoint, against the host's CLIP with the same weights."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import comfy.sd
import pytest
import torch

from pack.nodes.host.text_encoder import ClipEncoder
from pack.nodes.host.tokenizer import tokens_here
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.encoder import CheckpointEncoder
from pack.scapre.checkpoints.tokenizer import VARIABLE, Tokenizer, find_vocabulary
from pack.scapre.checkpoints.towers import TOWERS
from pack.scapre.concepts.spelling import core
from pack.scapre.errors import ScaPreError
from pack.scapre.progress import silent
from pack.tests.host import models

TITLES = {"sd15": "SD1.x", "sd20": "SD2.x", "sdxl": "SDXL", "refiner": "SDXL refiner"}
TEXTS = [
    "",
    "cat",
    "Vincent van Gogh",
    "a painting by Hieronymus Bosch, the triptych, in the style of nobody at all",
    "weights (cat:1.3) [dog] and \\(escaped\\) brackets",
    "embedding:something and an embedding:other",
    "<|endoftext|> is text <|startoftext|>",
    "日本の浮世絵 İstanbul ½ naïve Ελλάδα 🦊",
    "tabs\tand  spaces",
]

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize("kind", models.KINDS)
def test_small_encoders_of_every_family_give_the_hosts_states(kind: str) -> None:
    clip = models.text_encoder(kind)
    config = models.KINDS[kind].model(models.unet_settings())
    stored = config.process_clip_state_dict_for_saving(dict(clip.cond_stage_model.state_dict()))
    towers = [replace(tower, heads=2, layers=3 if tower.layers == 12 else 2) for tower in TOWERS[TITLES[kind]]]
    ours = CheckpointEncoder(stored, stored.__getitem__, Tokenizer(), towers)
    host = ClipEncoder(clip)
    assert [list(ours.tokens(text)) for text in TEXTS] == [list(host.tokens(text)) for text in TEXTS]
    found, wanted = ours.encode(TEXTS, silent), host.encode(TEXTS, silent)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    assert apart(found, wanted) < 1e-5


def test_the_whole_encoder_of_a_checkpoint_gives_the_hosts_states(tiny_checkpoint: Path) -> None:
    _, clip, *_ = comfy.sd.load_checkpoint_guess_config(str(tiny_checkpoint), output_vae=False)
    with Checkpoint(tiny_checkpoint) as checkpoint:
        ours = checkpoint.encoder()
        assert apart(ours.encode(TEXTS, silent), ClipEncoder(clip).encode(TEXTS, silent)) < 1e-5


def test_more_texts_than_a_batch_come_in_order(tiny_checkpoint: Path) -> None:
    texts = [f"name {number}" for number in range(34)]
    seen: list[tuple[int, int]] = []
    with Checkpoint(tiny_checkpoint) as checkpoint:
        encoder = checkpoint.encoder()
        states = encoder.encode(texts, lambda stage, done, total: seen.append((done, total)))
        assert apart(states[33:], encoder.encode(texts[33:], silent)) < 1e-6
    assert seen == [(0, 34), (32, 34), (34, 34)]


def test_all_layers_take_the_memory_of_one(tiny_checkpoint: Path) -> None:
    with Checkpoint(tiny_checkpoint) as checkpoint:
        encoder = checkpoint.encoder()
        encoder.encode(["cat"], silent)
        ((_, module),) = encoder.towers
    held = {parameter.data_ptr(): parameter.numel() for parameter in module.parameters()}
    layer = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    assert sum(held.values()) == (49408 + 77) * 768 + 2 * 768 + layer


def test_a_name_that_is_too_long_is_refused() -> None:
    tokenizer = Tokenizer()
    assert len(tokenizer("cat " * 75)) == 75
    with pytest.raises(ScaPreError, match="75 tokens"):
        tokenizer("cat " * 76)


def test_an_incomplete_encoder_is_refused() -> None:
    stored = (
        models.KINDS["sd15"]
        .model(models.unet_settings())
        .process_clip_state_dict_for_saving(dict(models.text_encoder().cond_stage_model.state_dict()))
    )
    towers = [replace(TOWERS["SD1.x"][0], heads=2, layers=3)]
    with pytest.raises(ScaPreError, match="no text encoder"):
        CheckpointEncoder({}, stored.__getitem__, Tokenizer(), towers)
    prefix = "cond_stage_model.transformer.text_model."
    wrong = stored | {f"{prefix}encoder.layers.1.mlp.fc1.bias": torch.zeros(5)}
    with pytest.raises(ScaPreError, match="another shape"):
        CheckpointEncoder(wrong, wrong.__getitem__, Tokenizer(), towers).encode(["cat"], silent)


# --- the vocabulary ---


def test_the_vocabulary_is_found_where_it_is(tmp_path: Path) -> None:
    comfy_folder = Path(os.environ["COMFYUI_PATH"])
    assert find_vocabulary({"COMFYUI_PATH": str(comfy_folder)}) == comfy_folder / "comfy" / "sd1_tokenizer"
    assert find_vocabulary({"COMFYUI_PATH": str(comfy_folder), VARIABLE: str(tmp_path)}) == tmp_path
    assert find_vocabulary({}) == "openai/clip-vit-large-patch14"  # this checkout lies in no ComfyUI


def test_a_folder_without_the_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScaPreError, match=r"vocab\.json"):
        Tokenizer(tmp_path)
    shutil.copytree(Path(os.environ["COMFYUI_PATH"]) / "comfy" / "sd1_tokenizer", tmp_path / "broken")
    for content in ("{", '{"a": 0}'):
        (tmp_path / "broken" / "vocab.json").write_text(content)
        with pytest.raises(ScaPreError, match="cannot be read"):
            Tokenizer(tmp_path / "broken")


def test_without_a_vocabulary_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMFYUI_PATH")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ScaPreError, match="--tokenizer"):
        Tokenizer()


@pytest.mark.parametrize("name", [
    "star,", "star.", "star...", "star!?", "'star'", "(star:1.2)", "Saber (Fate)", "C++", "Disney+", "star\u00ad",
    "star\u200b", "Vincent van Gogh's,", "étoile.", "梵高。", "star™", "don't;", "R.E.M.", "100%", "a_b_",
])  # fmt: skip
def test_a_name_up_to_its_last_word_is_the_beginning_of_its_tokens(name: str) -> None:
    """So that the position that erasing begins at can be counted in it."""
    whole, start = list(tokens_here(name)), list(tokens_here(core(name)))
    assert 0 < len(start) <= len(whole) and whole[: len(start)] == start


def test_a_picture_has_its_place_though_a_comma_joins_it_in_one_word() -> None:
    picture, both = list(tokens_here("\U0001f3a8")), list(tokens_here("\U0001f3a8,"))
    assert len(picture) == 1 and len(both) == 2  # the first of both is the picture, without the mark of a word's end
    assert both[1] == list(tokens_here("\U0001f3a8 ,"))[1]
