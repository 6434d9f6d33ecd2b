"""What the adapter's text encoder gives is what the host computes, and names are text."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import comfy.text_encoders.pixart_t5 as pixart
import comfy.text_encoders.sd3_clip as sd3
import comfy.text_encoders.z_image as z_image
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.host.text_encoder import ClipEncoder
from pack.scapre.errors import ScaPreError
from pack.scapre.progress import silent
from pack.tests.host import models
from pack.tests.host.models import KINDS

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

PAD_L, END, START = 49407, 49407, 49406


def host_states(clip: comfy.sd.CLIP, prompt: str) -> Tensor:
    """What CLIPTextEncode computes for a prompt."""
    return clip.encode_from_tokens(clip.tokenize(prompt))[0]


def test_a_batch_of_texts_gives_each_the_states_it_has_alone(clip: comfy.sd.CLIP) -> None:
    texts = [f"text {'very ' * (index % 5)}number {index}" for index in range(70)]  # more than two batches
    encoder = ClipEncoder(clip)
    together = encoder.encode(texts, silent)
    alone = torch.cat([host_states(clip, text)[None] for text in texts])
    assert together.shape == (70, 77, 24)
    # The same sums in another order: matrix products block their rows by the size of the batch.
    torch.testing.assert_close(together, alone, rtol=0, atol=3e-6)
    assert torch.equal(together, encoder.encode(texts, silent))


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_encodes_as_the_host_does(kind: str) -> None:
    clip = models.text_encoder(kind)
    states = ClipEncoder(clip).encode(["a red cat"], silent)
    assert states.dtype == torch.float32
    assert torch.equal(states[0], host_states(clip, "a red cat"))
    assert states.shape == (1, 77, KINDS[kind].width)


@pytest.mark.parametrize(
    ("literal", "escaped"),
    [
        ("(orange:1.3)", "\\(orange:1.3\\)"),
        ("((orange)) [blue]", "\\(\\(orange\\)\\) [blue]"),
        ("embedding:known", "embedding : known"),
        ("by embedding:known, 1890", "by embedding : known , 1890"),
        ("{red|blue} cat", "{ red | blue } cat"),
    ],
)
def test_prompt_syntax_in_a_name_is_text(tmp_path: Path, literal: str, escaped: str) -> None:
    save_file({"emb_params": torch.ones(2, 768)}, tmp_path / "known.safetensors")
    clip = models.text_encoder(embeddings=tmp_path)
    states = ClipEncoder(clip).encode([literal], silent)[0]
    assert torch.equal(states, host_states(clip, escaped))
    words = clip.tokenizer.clip_l.tokenizer(escaped.replace("\\", ""))["input_ids"][1:-1]
    assert len(ClipEncoder(clip).tokens(literal)) == len(words)


def test_an_embedding_would_be_looked_up_by_the_host(tmp_path: Path) -> None:
    save_file({"emb_params": torch.ones(2, 768)}, tmp_path / "known.safetensors")
    tokens = models.text_encoder(embeddings=tmp_path).tokenize("embedding:known")["l"][0]
    assert torch.is_tensor(tokens[1][0])  # so the test above would see it if the name were not taken literally


@pytest.mark.parametrize("text", ["<|endoftext|>", "a <|startoftext|> b<|endoftext|>c"])
def test_the_names_of_special_tokens_are_text(clip: comfy.sd.CLIP, text: str) -> None:
    encoder = ClipEncoder(clip)
    last = len(encoder.tokens(text))
    ids = [entry[0] for entry in encoder._tokens(text)["l"][0]]
    assert not {START, END} & set(ids[1 : last + 1])
    assert set(ids[last + 1 :]) == {END}
    assert clip.tokenizer.decode(ids[1 : last + 1]).replace(" ", "") == text.replace(" ", "")
    assert encoder.encode([text], silent).isfinite().all()


def test_the_chosen_layer_of_the_encoder_counts(clip: comfy.sd.CLIP) -> None:
    earlier = clip.clone()
    earlier.clip_layer(-2)  # what CLIP Set Last Layer does
    states = ClipEncoder(earlier).encode(["cat"], silent)[0]
    assert torch.equal(states, host_states(earlier, "cat"))
    assert not torch.equal(states, ClipEncoder(clip).encode(["cat"], silent)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_token_is_the_one_before_the_end(kind: str) -> None:
    encoder = ClipEncoder(models.text_encoder(kind))
    assert len(encoder.tokens("")) == 0
    assert len(encoder.tokens("cat")) == 1
    assert len(encoder.tokens("a red cat")) == 3
    assert len(encoder.tokens("cat " * 75)) == 75
    with pytest.raises(ScaPreError, match=r'"cat cat .*75 tokens'):
        len(encoder.tokens("cat " * 76))


def test_a_missing_encoder_is_explained() -> None:
    with pytest.raises(ScaPreError, match="clip: it is missing"):
        ClipEncoder(None)


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [(pixart.PixArtTokenizer, "t5xxl"), (sd3.SD3Tokenizer, "t5xxl"), (z_image.ZImageTokenizer, "qwen3_4b")],
)
def test_another_encoder_than_clip_is_refused_by_name(tokenizer: type, name: str) -> None:
    clip = models.text_encoder()
    clip.tokenizer = tokenizer()  # an encoder of billions of weights is told by its tokenizer
    with pytest.raises(ScaPreError, match=rf"clip: .*{name}.* not .*supported.*SD1\.x.*SDXL"):
        ClipEncoder(clip)
