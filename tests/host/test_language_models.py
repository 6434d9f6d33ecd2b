"""Language models as the command line reads them from their files, against the host's own with the same weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import comfy.sd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.scapre import cli
from pack.scapre.checkpoints import checkpoint as checkpoint_module
from pack.scapre.checkpoints.chats import ChatCutter, ChatEncoder, chat_pieces
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.language_model import LanguageStates
from pack.scapre.checkpoints.language_models import language_models
from pack.scapre.checkpoints.t5_files import OPTION
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import text_encoder
from pack.scapre.families.marks import Found
from pack.scapre.files import read_edit
from pack.scapre.methods import METHODS
from pack.scapre.progress import silent
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.tests.host import encoders
from pack.tests.host.transformers import KINDS, transformer

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

# A family's title, and its small encoder.
MODELS: dict[str, Callable[[], comfy.sd.CLIP]] = {
    "Qwen-Image": encoders.qwen_vl,
    "Z-Image": encoders.z_qwen3,
    "Flux 2": encoders.klein_qwen3,
    "Lumina 2": encoders.gemma2,
    "OmniGen2": encoders.omnigen2_qwen,
    "HunyuanVideo": encoders.llama_and_clip,
    "HunyuanVideo 1.5": encoders.hunyuan_video_15_qwen,
    "HunyuanImage 2.1": encoders.hunyuan_image_qwen,
    "Kandinsky 5": encoders.kandinsky_qwen_and_clip,
    "Kandinsky 5 Image": encoders.kandinsky_image_qwen_and_clip,
}
TEXTS = [
    "", "cat", "a red cat in the style of van gogh", "(cat:1.3) [dog] \\(escaped\\)", "embedding:something",
    "<|im_end|> is text <|eot_id|>", "tabs\tand  spaces ", "naïve art", "red house",
]  # fmt: skip


def content(clip: comfy.sd.CLIP) -> dict[str, Tensor]:
    """The file that the host loads a language model from."""
    model = clip.cond_stage_model
    name = next(
        name for name in ("llama", *vars(model).get("_modules", {})) if hasattr(model, name) and name != "clip_l"
    )
    return {key: value.contiguous().clone() for key, value in getattr(model, name).transformer.state_dict().items()}


@contextmanager
def reading(path: Path, stored: dict[str, Tensor], title: str) -> Iterator[ChatEncoder]:
    """The encoder of a file with this content."""
    save_file(stored, path)
    chat = text_encoder(title).chat
    assert chat
    with TensorFile(path) as file:
        (model,) = language_models(file)
        assert model.build.title == chat.model
        yield ChatEncoder(model, ChatCutter(chat_pieces(chat.model, lambda: model), chat), chat)


@pytest.mark.parametrize("title", MODELS)
def test_the_states_are_the_hosts(title: str, tmp_path: Path) -> None:
    clip = MODELS[title]()
    host, stored = ClipEncoder(clip), content(clip)
    if title == "Lumina 2":
        stored["spiece_model"] = encoders.vocabulary(start=2)
    with reading(tmp_path / "encoder.safetensors", stored, title) as ours:
        assert [tuple(ours.tokens(text)) for text in TEXTS] == [tuple(host.tokens(text)) for text in TEXTS]
        found, wanted = ours.encode(TEXTS, silent), host.encode(TEXTS, silent)
        assert found.shape == wanted.shape
        assert (found - wanted).norm() <= 1e-5 * wanted.norm()
        frame, its = ours.frame(), host.frame()
        assert len(frame) == len(its) and (not len(its) or (frame - its).norm() <= 1e-5 * its.norm())
        assert torch.equal(ours.encode_prefixes(TEXTS, 5), found[:, :5])
        words, mine = host.lexicon(), ours.lexicon()
        assert (words.words if words else ()) == (mine.words if mine else ())


# --- On the command line ---

KIND = {
    "qwen image": "Qwen-Image", "z-image": "Z-Image", "flux 2": "Flux 2", "lumina 2": "Lumina 2",
    "omnigen2": "OmniGen2", "hunyuan video 1.5": "HunyuanVideo 1.5", "hunyuan image": "HunyuanImage 2.1",
}  # fmt: skip
START = "model.diffusion_model."
NAMES = "cat\nVan Gogh -> art"


@pytest.fixture(autouse=True)
def told_by_name(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Models whose class a size tells are too small for it here: their files are told by a mark."""
    plain = checkpoint_module.find_class

    def find(shapes: Mapping[str, Sequence[int]]) -> Found | None:
        marked = next((name for name in shapes if name.startswith("class.")), None)
        return (
            Found(marked.removeprefix("class."), "model.diffusion_model.", converted=False) if marked else plain(shapes)
        )

    monkeypatch.setattr(checkpoint_module, "find_class", find)


def files(kind: str, folder: Path, clip: comfy.sd.CLIP | None = None) -> tuple[Path, Path]:
    """A model and its language model."""
    model, encoder = folder / "model.safetensors", folder / "encoder.safetensors"
    weights = transformer(kind).model.diffusion_model.state_dict()
    inside = {f"{START}{name}": value.contiguous().clone() for name, value in weights.items()}
    save_file(inside | {f"class.{KINDS[kind].model.__name__}": torch.zeros(1)}, model)
    words = {"spiece_model": encoders.vocabulary(start=2)} if kind == "lumina 2" else {}
    save_file(content(clip or KINDS[kind].encoder()) | words, encoder)
    return model, encoder


def command(name: str, *asked: object) -> int:
    return cli.main([name, *map(str, asked)])


@pytest.mark.parametrize("kind", KIND)
def test_the_command_line_solves_what_the_node_does(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model, encoder), out = files(kind, tmp_path), tmp_path / "edit.safetensors"
    (tmp_path / "names.txt").write_text(NAMES)
    given = (model, "--concepts", tmp_path / "names.txt", "--method", "uce", "--out", out)
    assert command("erase", *given, OPTION, encoder) == 0, capsys.readouterr().err
    edit, found = read_edit(out), HostProjections(transformer(kind))
    request = Request(parse_concepts(NAMES), settings=METHODS["uce"].settings(), method="uce")
    wanted = solve_edit(encode_request(encoder_for(KINDS[kind].encoder(), found), request)[0], found, request)
    assert edit.family == KIND[kind] and edit.shapes == wanted.shapes and edit.fingerprint == wanted.fingerprint
    for name in edit.shapes:
        weight = found.read(name, torch.device("cpu"))
        one, other = edit.delta(name, weight), wanted.delta(name, weight)
        assert (one - other).norm() <= 1e-4 * other.norm()
    assert command("verify", model, out, OPTION, encoder) == 0
    said = capsys.readouterr()
    assert "Same weights" in said.out and "Note" not in said.err


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (encoders.qwen_vl, r"is a language model, Qwen2\.5, of width 32, and Z-Image models read Qwen3-4B"),
        (encoders.llama_and_clip, r"is a language model, Llama 3, of width 32, and Z-Image models read Qwen3-4B"),
        (lambda: encoders.z_qwen3(48), r"gives states of width 48, and this Z-Image model takes 32"),
    ],
)
def test_another_language_model_is_refused(other: Callable[[], comfy.sd.CLIP], said: str, tmp_path: Path) -> None:
    model, encoder = files("z-image", tmp_path, other())
    with Checkpoint(model) as checkpoint, TensorFile(encoder, OPTION) as file:
        for read in (checkpoint.encoder, checkpoint.tokens):  # as `erase` does, and `verify`
            with pytest.raises(ScaPreError, match=f"^{OPTION}: .*{said}"):
                read(None, [file])


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    model, encoder = files("lumina 2", tmp_path)
    stored = load_file(encoder)
    changed = tmp_path / "changed.safetensors"
    cases: list[tuple[dict[str, Tensor] | None, str]] = [
        (None, r"checkpoint: .*model.* has no text encoder, and Lumina 2 models read Gemma 2 2B\. Give --text-encoder"),
        ({n: v for n, v in stored.items() if n != "spiece_model"}, r"does not hold the vocabulary of Gemma 2"),
        (stored | {"spiece_model": torch.zeros(0, dtype=torch.uint8)}, r"vocabulary \(spiece_model\) cannot be read"),
        ({n: v for n, v in stored.items() if ".3." not in n}, r""),
        ({n: v for n, v in stored.items() if ".1." not in n}, r"lacks layers"),
        ({"a": torch.zeros(1)}, r"is no text encoder that is known"),
        (stored | {"model.layers.0.self_attn.q_norm.weight": torch.ones(256)}, r"a language model, Gemma 3"),
        (
            {"embed_tokens.weight": torch.zeros(131_072, 1), "layers.0.self_attn.q_proj.weight": torch.ones(1)},
            r"a language model, Mistral 3, of width 1, which only ComfyUI runs",
        ),
    ]  # fmt: skip
    for held, said in cases:
        if held is not None:
            save_file(held, changed)
        with ExitStack() as stack:
            others = [stack.enter_context(TensorFile(changed, OPTION))] if held is not None else []
            checkpoint = stack.enter_context(Checkpoint(model))
            if not said:  # a layer less is another encoder, which nobody can tell
                checkpoint.encoder(None, others).encode(["cat"], silent)
                continue
            with pytest.raises(ScaPreError, match=said):
                checkpoint.encoder(None, others).encode(["cat"], silent)
    with (
        Checkpoint(model) as checkpoint,
        TensorFile(encoder, OPTION) as file,
        pytest.raises(ScaPreError, match="2 files were given"),
    ):
        checkpoint.encoder(None, [file, file])


def test_too_few_layers_are_told(tmp_path: Path) -> None:
    model, encoder = files("flux 2", tmp_path)
    few = {name: value for name, value in load_file(encoder).items() if not re.match(r"model\.layers\.2\d", name)}
    save_file(few, encoder)
    with (
        Checkpoint(model) as checkpoint,
        TensorFile(encoder, OPTION) as file,
        pytest.raises(ScaPreError, match="has 20 layers, and what layer 27 says is read"),
    ):
        checkpoint.encoder(None, [file]).encode(["cat"], silent)


def test_what_stands_before_every_text_is_read_once(tmp_path: Path) -> None:
    _, encoder = files("qwen image", tmp_path)
    with TensorFile(encoder) as file:
        (model,) = language_models(file)
        read, before = LanguageStates(model), [1, 2, 3, 4, 5, 6, 7]
        texts = [[8], [9, 10], [11, 12]]
        found, apart = read(texts, before=before), read([[*before, *text] for text in texts])
        for one, other in zip(found.texts, apart.texts, strict=True):
            assert (one - other[len(before) :]).norm() <= 1e-5 * one.norm()
        assert (found.before - apart.texts[0][: len(before)]).norm() <= 1e-5 * found.before.norm()
        filled = read(texts, before=before, filled=4)
        for one, other, text in zip(filled.texts, found.texts, texts, strict=True):
            assert len(one) == 4 and (one[: len(text)] - other).norm() <= 1e-5 * other.norm()
