"""T5 and UMT5 as the command line reads them from a file, against the host's own with the same weights."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import comfy.sd
import comfy.utils
import pytest
import torch
from comfy.supported_models_base import ClipTarget
from comfy.text_encoders import pixart_t5, wan
from comfy.text_encoders.sd3_clip import t5_xxl_detect
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.scapre import cli
from pack.scapre.checkpoints import sentences
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.pieces import PILE_T5, Pieces, own_pieces, pieces_in
from pack.scapre.checkpoints.pieces import T5 as VOCABULARY
from pack.scapre.checkpoints.sentences import SentenceCutter, SentenceEncoder
from pack.scapre.checkpoints.t5 import T5, Told
from pack.scapre.checkpoints.t5_file import T5File
from pack.scapre.checkpoints.t5_files import OPTION, t5_file
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import text_encoder
from pack.scapre.files import read_edit
from pack.scapre.methods import METHODS
from pack.scapre.progress import silent
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.scapre.states.prefixes import encode_prefixes
from pack.tests.host.encoders import WIDTH, umt5, vocabulary
from pack.tests.host.transformers import KINDS, transformer

TITLES = {
    "pixart": "PixArt Sigma", "wan": "Wan", "ltxv": "LTXV", "cosmos": "Cosmos", "stable audio": "Stable Audio",
    "ace-step": "ACE-Step", "aura flow": "AuraFlow", "chroma": "Chroma", "mochi": "Mochi",
}  # fmt: skip
TEXTS = [
    "", "cat", "a red cat in the style of van gogh", "(cat:1.3) [dog] \\(escaped\\)", "embedding:something",
    "</s> is text <pad>", "tabs\tand  spaces ", "日本の浮世絵 naïve 🦊",
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")


def content(clip: comfy.sd.CLIP, kind: str) -> dict[str, Tensor]:
    """The file that the host loads an encoder from."""
    model = clip.cond_stage_model
    inner = model.umt5base if kind == "ace-step" else getattr(model, model.clip)
    found = {name: value.contiguous().clone() for name, value in inner.transformer.state_dict().items()}
    return found | ({"spiece_model": vocabulary()} if kind in ("wan", "ace-step") else {})


@contextmanager
def reading(path: Path, stored: dict[str, Tensor], kind: str) -> Iterator[SentenceEncoder]:
    """The encoder of a file with this content."""
    save_file(stored, path)
    with TensorFile(path) as file:
        reads = text_encoder(TITLES[kind])
        yield SentenceEncoder(T5File(file), SentenceCutter(pieces(kind), reads.end), reads)


def pieces(kind: str) -> Pieces:
    if kind in ("wan", "ace-step"):
        return own_pieces(vocabulary())
    return pieces_in(PILE_T5 if kind == "aura flow" else VOCABULARY)


@pytest.mark.parametrize("kind", TITLES)
def test_the_states_are_the_hosts(kind: str, tmp_path: Path) -> None:
    clip = KINDS[kind].encoder()
    host = ClipEncoder(clip)
    with reading(tmp_path / "encoder.safetensors", content(clip, kind), kind) as ours:
        assert [tuple(ours.tokens(text)) for text in TEXTS] == [tuple(host.tokens(text)) for text in TEXTS]
        found, wanted = ours.encode(TEXTS, silent), host.encode(TEXTS, silent)
        assert found.shape == wanted.shape
        assert (found - wanted).norm() <= 1e-5 * wanted.norm()
        assert torch.equal(ours.encode_prefixes(TEXTS, 5), found[:, :5])
        words, mine = host.lexicon(), ours.lexicon()
        assert (words and words.words) == (mine and mine.words)
        if words and mine:
            token, others = int(words.ids[0]), words.ids[1:9].tolist()
            assert mine.nearest(token, 8) == words.nearest(token, 8)
            assert mine.distances(token, others) == words.distances(token, others)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_small_types_are_read_as_they_are(dtype: torch.dtype, tmp_path: Path) -> None:
    stored = {name: value.to(dtype) for name, value in content(KINDS["pixart"].encoder(), "pixart").items()}
    found = []
    for name, weights in (("stored", stored), ("wide", {name: value.float() for name, value in stored.items()})):
        with reading(tmp_path / f"{name}.safetensors", weights, "pixart") as encoder:
            found.append(encoder.encode(["a red cat"], silent))
    assert torch.equal(*found)


def host_of(kind: str, weights: dict[str, Tensor]) -> comfy.sd.CLIP:
    """What the host makes of a file's content, small as it is."""
    made, tokenizer, name, sizes = {
        "pixart": (pixart_t5.pixart_te, pixart_t5.PixArtTokenizer, "t5xxl", {}),
        "wan": (wan.te, wan.WanT5Tokenizer, "umt5xxl", {"vocab_size": 128}),
    }[kind]
    sizes |= {"d_ff": 48, "d_kv": 16, "num_heads": 2, "num_layers": 2, "d_model": WIDTH}
    target = ClipTarget(tokenizer, made(**t5_xxl_detect(weights)))
    options = {f"{name}_model_config": sizes}
    return comfy.sd.CLIP(
        target, model_options=options, tokenizer_data={"spiece_model": vocabulary()}, state_dict=[dict(weights)]
    )


def eight_bits(stored: dict[str, Tensor], scale: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """A file of scaled fp8: matrices in eight bits with a scale each, and the rest in another type."""
    found: dict[str, Tensor] = {}
    for name, value in stored.items():
        layer = name.removesuffix(".weight")
        if value.ndim != 2 or layer == "shared" or layer.endswith("relative_attention_bias"):
            found[name] = value if name == "spiece_model" else value.to(dtype)
            continue
        factor = value.abs().max() / 448
        found |= {name: (value / factor).to(torch.float8_e4m3fn), f"{layer}.{scale}": factor}
        if scale == "weight_scale":
            said = json.dumps({"format": "float8_e4m3fn"}).encode()
            found[f"{layer}.comfy_quant"] = torch.tensor(list(said), dtype=torch.uint8)
    return found | ({"scaled_fp8": torch.empty(2, dtype=torch.float8_e4m3fn)} if scale == "scale_weight" else {})


@pytest.mark.parametrize("scale", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["pixart", "wan"])
def test_scaled_fp8_is_read_as_the_host_reads_it(kind: str, dtype: torch.dtype, scale: str, tmp_path: Path) -> None:
    file = tmp_path / "encoder.safetensors"
    with reading(file, eight_bits(content(KINDS[kind].encoder(), kind), scale, dtype), kind) as ours:
        weights, metadata = comfy.utils.load_torch_file(str(file), return_metadata=True)
        weights, _ = comfy.utils.convert_old_quants(weights, model_prefix="", metadata=metadata)
        host = ClipEncoder(host_of(kind, weights))
        found, wanted = ours.encode(TEXTS, silent), host.encode(TEXTS, silent)
    assert (found - wanted).norm() <= 1e-5 * wanted.norm()


def test_a_file_of_eight_bits_alone_is_read_as_the_host_reads_it(tmp_path: Path) -> None:
    wide = content(KINDS["pixart"].encoder(), "pixart")
    stored = {name: value.to(torch.float8_e4m3fn) for name, value in wide.items()}
    stored["shared.weight"].view(torch.uint8)[5, 3] = 0x7F  # NaN, which the host takes for zero
    with reading(tmp_path / "encoder.safetensors", stored, "pixart") as ours:
        host = ClipEncoder(host_of("pixart", stored))
        found, wanted = ours.encode(TEXTS, silent), host.encode(TEXTS, silent)
    assert (found - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("layer.0.SelfAttention.q.weight", torch.zeros(32, 32, dtype=torch.int8), "is quantised .torch.int8"),
        ("layer.0.SelfAttention.q.weight_scale", torch.ones(32, 1), "is quantised"),
        ("layer.1.DenseReluDense.wo.weight", torch.zeros(32, 47), "layer.1.DenseReluDense.wo does not fit"),
        ("layer.0.SelfAttention.v.weight", None, r"lacks encoder.block.1.layer.0.SelfAttention.v.weight"),
        ("layer.0.layer_norm.weight", torch.ones(31), r"layer_norm does not fit the rest"),
    ],
)
def test_a_damaged_file_is_named_with_the_tensor(name: str, value: Tensor | None, said: str, tmp_path: Path) -> None:
    stored = content(KINDS["pixart"].encoder(), "pixart")
    key = f"encoder.block.1.{name}"
    stored = {**stored, key: value} if value is not None else {k: v for k, v in stored.items() if k != key}
    path = tmp_path / "encoder.safetensors"
    with reading(path, stored, "pixart") as ours, pytest.raises(ScaPreError, match=rf"^file: .encoder\.safet.*{said}"):
        ours.encode(["cat"], silent)


def test_a_layer_of_another_shape_than_all_is_named(tmp_path: Path) -> None:
    stored = content(KINDS["pixart"].encoder(), "pixart")
    stored |= {n: v[:, :31].clone() for n, v in stored.items() if n.endswith((".q.weight", ".wi_0.weight"))}
    path = tmp_path / "encoder.safetensors"
    with reading(path, stored, "pixart") as ours, pytest.raises(ScaPreError, match=r"block\.0 does not fit the rest"):
        ours.encode(["cat"], silent)


def test_texts_are_read_together_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["cat", "a red cat", "", "dog", "the house in the picture"]
    with reading(tmp_path / "encoder.safetensors", content(KINDS["pixart"].encoder(), "pixart"), "pixart") as ours:
        wanted = ours.encode(texts, silent)
    for most in (2**27, 10 * WIDTH):  # all are kept, and few
        monkeypatch.setattr(sentences, "_MOST", most)
        file = tmp_path / f"{most}.safetensors"
        with reading(file, content(KINDS["pixart"].encoder(), "pixart"), "pixart") as ours:
            runs = list[int]()
            model = ours.model
            monkeypatch.setattr(ours, "model", Counted(model, runs))
            found = encode_prefixes(ours, dict.fromkeys(texts, 5))
            for text, states in zip(texts, wanted, strict=True):
                assert (found[text] - states[:5]).abs().max() <= 1e-6 * states.abs().max()
            assert len(runs) == 1 if most > 2**20 else len(runs) > 1
            assert (ours.encode(texts, silent) - wanted).abs().max() <= 1e-6 * wanted.abs().max()


class Counted:
    """A model that counts its runs."""

    def __init__(self, model: T5, runs: list[int]) -> None:
        self.model, self.runs, self.width, self.file = model, runs, model.width, model.file

    def __call__(self, texts: Sequence[Sequence[int]], told: Told) -> list[Tensor]:
        self.runs.append(len(texts))
        return self.model(texts, told)


def test_memory_is_that_of_one_layer_and_of_the_rows_that_are_read(tmp_path: Path) -> None:
    stored = content(KINDS["pixart"].encoder(), "pixart")
    with reading(tmp_path / "encoder.safetensors", stored, "pixart") as ours:
        asked: list[int] = []
        plain = ours.model.file.file.rows
        ours.model.file.file.rows = lambda name, ids: asked.append(len(ids)) or plain(name, ids)  # type: ignore
        ours.encode(["cat", "a red cat"], silent)
        held = sum(weight.numel() for weight in ours.model._layer.values())
        tokens = sum(len(ours.tokens(text)) + 1 for text in ("", "cat", "a red cat"))
    assert held == sum(v.numel() for n, v in stored.items() if ".block.1." in n)
    assert sum(asked) == tokens


def refuse(model: Path, encoder: Path, said: str) -> None:
    with Checkpoint(model) as checkpoint, TensorFile(encoder, OPTION) as file, pytest.raises(ScaPreError, match=said):
        checkpoint.encoder(None, [file])


def erase(model: Path, encoder: Path, names: Path, out: Path, *more: str) -> int:
    """What the command returns."""
    given = (model, "--text-encoder", encoder, "--concepts", names, "--out", out)
    return cli.main(["erase", *map(str, given), *more])


def weights_of(kind: str) -> dict[str, Tensor]:
    """What a file of a diffusion model alone holds."""
    weights = transformer(kind).model.diffusion_model.state_dict()
    return {name: value.contiguous().clone() for name, value in weights.items()}


@pytest.fixture(params=["pixart", "wan", "stable audio"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Path]:
    """A diffusion model, and its text encoder, in files."""
    kind = request.param
    model, encoder = tmp_path / "model.safetensors", tmp_path / "encoder.safetensors"
    save_file({f"model.diffusion_model.{name}": value for name, value in weights_of(kind).items()}, model)
    save_file(content(KINDS[kind].encoder(), kind), encoder)
    return kind, model, encoder


@pytest.mark.parametrize("method", ["uce", "auto"])
def test_the_command_line_solves_what_the_node_does(
    files: tuple[str, Path, Path], method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, model, encoder = files
    (tmp_path / "names.txt").write_text("cat\nVan Gogh -> art\n")
    out = tmp_path / "edit.safetensors"
    given = [
        "erase",
        model,
        "--text-encoder",
        encoder,
        "--concepts",
        tmp_path / "names.txt",
        "--method",
        method,
        "--out",
        out,
    ]
    assert cli.main([str(part) for part in given]) == 0, capsys.readouterr().err
    edit, found = read_edit(out), HostProjections(transformer(kind))
    request = Request(parse_concepts("cat\nVan Gogh -> art"), settings=METHODS[method].settings(), method=method)
    wanted = solve_edit(encode_request(encoder_for(KINDS[kind].encoder(), found), request)[0], found, request)
    assert edit.shapes == wanted.shapes and edit.fingerprint == wanted.fingerprint
    if (kind, method) == ("wan", "auto"):  # a vocabulary of sixty pieces leaves no general words
        return
    for key, moment in wanted.states.moments.items():
        assert (edit.states.moments[key] - moment).norm() <= 1e-5 * moment.norm()
    if method == "auto":  # a width of 48 leaves it hardly any way, so that rounding decides about the rest
        return
    for name in edit.shapes:
        weight = found.read(name, torch.device("cpu"))
        one, other = edit.delta(name, weight), wanted.delta(name, weight)
        assert (one - other).norm() <= 1e-4 * other.norm()


def test_a_whole_model_is_written_with_the_edit(files: tuple[str, Path, Path], tmp_path: Path) -> None:
    _, model, encoder = files
    (tmp_path / "names.txt").write_text("cat\n")
    for form in ("checkpoint", "lora", "diff", "edit"):
        out = tmp_path / f"{form}.safetensors"
        given = [
            "erase",
            model,
            "--text-encoder",
            encoder,
            "--concepts",
            tmp_path / "names.txt",
            "--method",
            "uce",
            "--out",
            out,
        ]
        assert cli.main([str(part) for part in given] + (["--export", form] if form != "edit" else [])) == 0
    edit = read_edit(tmp_path / "edit.safetensors")
    with Checkpoint(model) as before, Checkpoint(tmp_path / "checkpoint.safetensors") as after:
        for name in before.roles:
            weight = before.read(name, torch.device("cpu"))
            change = edit.delta(name, weight) if name in edit.shapes else torch.zeros_like(weight)
            assert (after.read(name, torch.device("cpu")) - weight - change).abs().max() <= 1e-5
        assert before.file.entries.keys() == after.file.entries.keys()


@pytest.mark.parametrize(
    ("kind", "other", "said"),
    [
        ("pixart", "wan", r"encoder.safetensors. is a UMT5 of width 32, and PixArt Sigma models read T5-XXL"),
        ("wan", "pixart", r"encoder.safetensors. is a T5 of width 32, and Wan models read UMT5-XXL"),
    ],
)
def test_the_encoder_of_another_model_is_refused(kind: str, other: str, said: str, tmp_path: Path) -> None:
    model, encoder = tmp_path / "model.safetensors", tmp_path / "encoder.safetensors"
    save_file(weights_of(kind), model)
    save_file(content(KINDS[other].encoder(), other), encoder)
    refuse(model, encoder, said)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    model, other = tmp_path / "model.safetensors", tmp_path / "other.safetensors"
    weights, stored = weights_of("wan"), content(KINDS["wan"].encoder(), "wan")
    save_file(weights, model)
    with Checkpoint(model) as checkpoint, pytest.raises(ScaPreError) as refusal:
        checkpoint.encoder()
    assert str(refusal.value).startswith('checkpoint: "model.safetensors" has no text encoder, and Wan models read ')
    assert "Give --text-encoder the file of UMT5-XXL" in str(refusal.value)
    for content_of, said in (
        ({"a": torch.zeros(1)}, r"other.safetensors. is no text encoder that is known, and Wan models read UMT5-XXL"),
        ({n: v for n, v in stored.items() if n != "spiece_model"}, "does not hold the vocabulary of a UMT5 of width"),
        (stored | {"spiece_model": torch.zeros(8, dtype=torch.uint8)}, "vocabulary .spiece_model. cannot be read"),
        (content(umt5(48), "wan"), "gives states of width 48, and this Wan model takes 32. Give the file of UMT5-XXL"),
        (weights, r"is a model of the class WAN21_T2V, and Wan models read UMT5-XXL"),
        ({"a.lora_up.weight": torch.zeros(1)}, "is a LoRA, and Wan models"),
        ({"text_model.embeddings.token_embedding.weight": torch.zeros(4, 768)}, "is CLIP-L, and Wan models read"),
        ({"text_model.embeddings.token_embedding.weight": torch.zeros(4, 24)}, "is a CLIP, and Wan models read"),
        ({"model.layers.0.self_attn.q_proj.weight": torch.zeros(4, 4)}, "is a text encoder alone, and Wan models"),
    ):
        save_file(content_of, other)
        refuse(model, other, f"^--text-encoder: .*{said}")
    other.write_bytes(other.read_bytes()[:-1])
    with pytest.raises(ScaPreError, match=r"^--text-encoder: .other.safetensors. is cut short"):
        TensorFile(other, OPTION)
    with pytest.raises(ScaPreError, match=r"^tokenizer: T5's vocabulary was not found in"):
        pieces_in(VOCABULARY, tmp_path)


@pytest.mark.parametrize(
    ("value", "said"), [(None, r"checkpoint: it has no .*text_embedding.2.bias"), (math.nan, "contains NaN")]
)
def test_what_leads_to_the_projections_is_checked(value: float | None, said: str, tmp_path: Path) -> None:
    model, other = tmp_path / "model.safetensors", tmp_path / "other.safetensors"
    weights = weights_of("wan")
    if value is None:
        del weights["text_embedding.2.bias"]
    else:
        weights["text_embedding.2.bias"][3] = value
    save_file(weights, model)
    save_file(content(KINDS["wan"].encoder(), "wan"), other)
    refuse(model, other, said)


SIZES = {  # width, feed-forward width, gate, positions in every layer, tokens
    "T5-XXL": (4096, 10240, True, False, 32128), "mT5-XXL": (4096, 10240, True, False, 250112),
    "UMT5-XXL": (4096, 10240, True, True, 256384), "T5-base": (768, 3072, False, False, 32128),
    "the first T5-11B": (1024, 65536, False, False, 32128), "T5-large": (1024, 4096, False, False, 32128),
}  # fmt: skip


def large(path: Path, title: str) -> Path:
    """The first layers of a published encoder at full size, a file that takes no room on the disk."""
    width, inner, gated, own, tokens = SIZES[title]
    names = {"shared.weight": [tokens, width], "encoder.block.0.layer.0.SelfAttention.q.weight": [width, width]}
    for part in ("wi_0", "wi_1") if gated else ("wi",):
        names[f"encoder.block.0.layer.1.DenseReluDense.{part}.weight"] = [inner, width]
    for block in range(1 + own):
        names[f"encoder.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"] = [32, 64]
    header, end = {}, 0
    for name, shape in names.items():
        size = math.prod(shape)
        header[name] = {"dtype": "F8_E4M3", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


@pytest.mark.parametrize("title", SIZES)
@pytest.mark.parametrize(
    ("family", "wanted"),
    [("PixArt Sigma", "T5-XXL"), ("Wan", "UMT5-XXL"), ("Cosmos", "the first T5-11B"), ("Stable Audio", "T5-base")],
)
def test_published_encoders_are_told_by_their_sizes(family: str, wanted: str, title: str, tmp_path: Path) -> None:
    with TensorFile(large(tmp_path / "encoder.safetensors", title), OPTION) as file:
        if title == wanted:
            assert t5_file(family, file, [file]).title == title
        else:
            with pytest.raises(ScaPreError, match=f"is {title}, and {family} models read {wanted}. Give the file of"):
                t5_file(family, file, [file])


def test_two_files_are_one_too_many(tmp_path: Path) -> None:
    path, said = large(tmp_path / "encoder.safetensors", "T5-XXL"), "read one text encoder, and 2 files were given"
    with TensorFile(path, OPTION) as file, pytest.raises(ScaPreError, match=said):
        t5_file("PixArt Sigma", file, [file, file])


@pytest.mark.parametrize("kind", ["ltxv", "ace-step"])
def test_the_encoder_inside_a_checkpoint_is_read(kind: str, tmp_path: Path) -> None:
    clip = KINDS[kind].encoder()
    inside = {"text_encoders." + name: value.contiguous() for name, value in clip.get_sd().items()}
    weights = {f"model.diffusion_model.{name}": value for name, value in weights_of(kind).items()}
    save_file({n: v.clone() for n, v in {**weights, **inside}.items()}, tmp_path / "model.safetensors")
    with Checkpoint(tmp_path / "model.safetensors") as checkpoint:
        found = checkpoint.encoder().encode(TEXTS, silent)
    wanted = encoder_for(clip, HostProjections(transformer(kind))).encode(TEXTS, silent)
    assert (found - wanted).norm() <= 1e-5 * wanted.norm()


def test_without_sentencepiece_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ScaPreError, match="sentencepiece is not installed"):
        own_pieces(vocabulary())


def test_without_transformers_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ScaPreError, match="transformers is not installed"):
        pieces_in(VOCABULARY)
