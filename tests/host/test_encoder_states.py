"""What the adapter's text encoder gives is what the host computes, and names are text."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import comfy.text_encoders.ideogram4 as ideogram4
import comfy.text_encoders.ovis as ovis
import folder_paths
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
    [(ideogram4.Ideogram4Tokenizer, "qwen3vl_8b"), (ovis.OvisTokenizer, "qwen3_2b")],
)
def test_an_encoder_of_no_supported_model_is_refused_by_name(tokenizer: type, name: str) -> None:
    clip = models.text_encoder()
    clip.tokenizer = tokenizer()  # an encoder of billions of weights is told by its tokenizer
    with pytest.raises(ScaPreError, match=rf"clip: .*{name}.* not .*supported.*SD1\.x.*SDXL"):
        ClipEncoder(clip)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [None, -1, -2])
def test_beginnings_of_texts_are_those_of_the_host_and_not_computed_further(kind: str, layer: int | None) -> None:
    clip = models.text_encoder(kind).clone()
    if layer:
        clip.clip_layer(layer)
    texts = ["", "cat", "a red cat beside a house, in the style of somebody", "a red cat beside a tree"]
    encoder = ClipEncoder(clip)
    whole = encoder.encode(texts, silent)
    ids = [[START, *encoder.tokens(text), *[END] * 77] for text in texts]
    calls, expected = watched(clip), [77, 38]  # of the text that is compared first, and half of it
    for length in (1, 2, 7, 30, 77):
        found = encoder.encode_prefixes(texts, length)
        assert found.shape == (4, length, KINDS[kind].width) and found.dtype == torch.float32
        assert (found - whole[:, :length]).abs().max() <= 1e-5 * whole.abs().max()
        expected.append(len({tuple(text[: end + 1]) for text in ids for end in range(length)}))
    assert calls == [count for count in expected for _ in encoders(clip)]


def encoders(clip: comfy.sd.CLIP) -> list[torch.nn.Module]:
    return [module for name, module in clip.cond_stage_model.named_modules() if name.endswith("encoder.layers.0.mlp")]


def watched(clip: comfy.sd.CLIP) -> list[int]:
    """How many positions the encoders' first layers are asked for from now on."""
    calls: list[int] = []
    for module in encoders(clip):
        module.register_forward_pre_hook(lambda _, given: calls.append(given[0].shape[:-1].numel()))
    return calls


def test_beginnings_carry_a_lora_of_the_text_encoder_as_whole_texts_do(clip: comfy.sd.CLIP) -> None:
    patched = clip.clone()
    (key,) = [name for name in patched.patcher.model.state_dict() if name.endswith("layers.0.mlp.fc1.weight")][:1]
    weight = patched.patcher.model.state_dict()[key]
    patched.add_patches({key: ("diff", (torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)),))}, 1.0)
    encoder = ClipEncoder(patched)
    found = encoder.encode_prefixes(["a red cat"], 6)
    torch.testing.assert_close(found[0], host_states(patched, "a red cat")[:6], rtol=0, atol=3e-5)
    plain = ClipEncoder(clip).encode_prefixes(["a red cat"], 6)
    assert (found - plain).abs().max() > 1e-3
    torch.testing.assert_close(plain[0], host_states(clip, "a red cat")[:6], rtol=0, atol=3e-5)


class OtherText(torch.nn.Module):
    """A text model of another class, as packs put in the host's place: it has none of its parts."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.wrapped, self.embeddings = inner, inner.embeddings

    def forward(self, *given: object, **named: object) -> object:
        return self.wrapped(*given, **named)


@pytest.mark.parametrize("how", ["another class", "masks", "other states"])
def test_where_the_hosts_classes_differ_its_own_call_is_used(how: str) -> None:
    clip = models.text_encoder(seed=5)
    inner = clip.cond_stage_model.clip_l
    if how == "another class":
        inner.transformer.text_model = OtherText(inner.transformer.text_model)
    elif how == "masks":
        inner.enable_attention_masks = True
    else:  # an encoder that changes its states after the layers
        inner.register_forward_hook(lambda module, given, result: (2 * result[0], *result[1:]))
    encoder = ClipEncoder(clip)
    found = encoder.encode_prefixes(["a red cat", ""], 5)
    assert torch.equal(found[0], host_states(clip, "a red cat")[:5]) or how != "another class"
    torch.testing.assert_close(found[0], host_states(clip, "a red cat")[:5], rtol=0, atol=3e-6)


def test_figures_are_kept_by_encoder_in_the_user_folder(
    clip: comfy.sd.CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_paths, "get_user_directory", lambda: str(tmp_path))
    made: list[float] = []

    def remembered(clip: comfy.sd.CLIP, value: float) -> float:
        def make() -> Tensor:
            made.append(value)
            return torch.tensor([value])

        return ClipEncoder(clip).remembered("key", make).item()

    earlier = clip.clone()
    earlier.clip_layer(-2)
    assert [remembered(clip, 1.0), remembered(clip, 2.0), remembered(earlier, 3.0), remembered(clip, 4.0)] == [
        1,
        1,
        3,
        1,
    ]
    assert made == [1.0, 3.0] and len(list((tmp_path / "scapre" / "cache").iterdir())) == 2
