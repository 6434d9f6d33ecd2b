"""T5 and UMT5 as the command line reads them from a file, against the host's own with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import comfy.sd
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.scapre import cli
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.pieces import Pieces, own_pieces, t5_pieces
from pack.scapre.checkpoints.sentences import SentenceCutter, SentenceEncoder
from pack.scapre.checkpoints.t5_file import T5File
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.checkpoints.text_encoders import OPTION
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.errors import ScaPreError
from pack.scapre.families import text_encoder
from pack.scapre.files import read_edit
from pack.scapre.methods import METHODS
from pack.scapre.progress import silent
from pack.scapre.solve import Request, encode_request, solve_edit
from pack.tests.host.transformers import KINDS, transformer, vocabulary

TITLES = {
    "pixart": "PixArt Sigma", "wan": "Wan", "ltxv": "LTXV", "cosmos": "Cosmos", "stable audio": "Stable Audio",
    "ace-step": "ACE-Step",
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
        behind = text_encoder(TITLES[kind]).behind
        yield SentenceEncoder(T5File(file), SentenceCutter(pieces(kind)), behind)


def pieces(kind: str) -> Pieces:
    return own_pieces(vocabulary()) if kind in ("wan", "ace-step") else t5_pieces()


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
    weights = weights_of("wan")
    save_file(weights, model)
    save_file({"a": torch.zeros(1)}, other)
    with Checkpoint(model) as checkpoint:
        with pytest.raises(ScaPreError, match=r"^checkpoint: .* has no text encoder, and Wan models read UMT5-XXL"):
            checkpoint.encoder()
        with TensorFile(other) as file, pytest.raises(ScaPreError, match=r"vocabulary of UMT5-XXL"):
            checkpoint.encoder(None, [file])
    save_file({name: value for name, value in weights.items() if "text_embedding" not in name}, model)
    stored = content(KINDS["wan"].encoder(), "wan")
    save_file(stored, other)
    refuse(model, other, r"^checkpoint: it has no .*text_embedding")
    save_file(stored | {"encoder.block.0.layer.0.SelfAttention.q.scale_weight": torch.ones(1)}, other)
    save_file(weights, model)
    refuse(model, other, r"^--text-encoder: it is quantised with scales")
    with pytest.raises(ScaPreError, match=r"^--text-encoder: its vocabulary .spiece_model. cannot be read"):
        own_pieces(torch.zeros(8, dtype=torch.uint8))
    with pytest.raises(ScaPreError, match=r"^tokenizer: T5's vocabulary was not found in"):
        t5_pieces(tmp_path)


def test_the_text_of_anima_is_left_to_the_host(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save_file(weights_of("anima"), model)
    with Checkpoint(model) as checkpoint, pytest.raises(ScaPreError, match="network that only ComfyUI has"):
        checkpoint.encoder()
