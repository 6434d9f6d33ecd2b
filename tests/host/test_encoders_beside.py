"""CLIP beside another encoder, for the vectors or for words of its own, from files as the host reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import encoder_for
from pack.scapre import cli
from pack.scapre.checkpoints import bert, text_encoders
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.t5_files import OPTION
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.checkpoints.towers import TOWERS
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import FAMILIES
from pack.scapre.files import read_edit
from pack.scapre.methods import METHODS
from pack.scapre.progress import silent
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.scapre.states.encoder import Encoder, frame_of
from pack.scapre.states.further import Layered, chosen
from pack.scapre.states.readings import SECOND, TwoReadings
from pack.tests.host.transformers import KINDS, transformer

TEXTS = ["", "cat", "a red cat in the style of van gogh"]
PARTS = {
    "flux": ("t5xxl", "clip_l"), "sd3": ("t5xxl", "clip_l", "clip_g"), "hunyuan video": ("llama", "clip_l"),
    "kandinsky 5": ("qwen25_7b", "clip_l"), "hidream": ("llama", "clip_g", "t5xxl", "clip_l"),
}  # fmt: skip
INSIDE = "text_encoders."


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders as small as those of the tests."""
    for family in ("SD3", "Flux", "HunyuanVideo", "Kandinsky 5", "HiDream"):
        towers = tuple(replace(one, heads=heads, layers=2) for one, heads in zip(TOWERS[family], (2, 3), strict=False))
        monkeypatch.setitem(TOWERS, family, towers)


def weights_of(kind: str) -> dict[str, Tensor]:
    weights = transformer(kind).model.diffusion_model.state_dict()
    return {f"model.diffusion_model.{name}": value.contiguous().clone() for name, value in weights.items()}


def encoders_of(kind: str) -> dict[str, dict[str, Tensor]]:
    """What each encoder's file holds."""
    clip = KINDS[kind].encoder().cond_stage_model
    inner = {name: getattr(clip, name).transformer.state_dict() for name in PARTS[kind]}
    return {name: {key: value.contiguous().clone() for key, value in held.items()} for name, held in inner.items()}


def files(kind: str, folder: Path) -> tuple[Path, dict[str, Path]]:
    """A diffusion model and its encoders, in a file each."""
    save_file(weights_of(kind), folder / "model.safetensors")
    found = {name: folder / f"{name}.safetensors" for name in PARTS[kind]}
    for name, held in encoders_of(kind).items():
        save_file(held, found[name])
    return folder / "model.safetensors", found


@pytest.fixture(params=[(kind, place) for kind in PARTS if kind != "sd3" for place in ("apart", "inside")])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Encoder]]:
    """The encoder of a model's files, or of a checkpoint that holds them."""
    kind, place = request.param
    model, others = files(kind, tmp_path)
    if place == "inside":
        inside = {
            f"{INSIDE}{name}.transformer.{key}": value
            for name, held in encoders_of(kind).items()
            for key, value in held.items()
        }
        save_file(weights_of(kind) | inside, model)
        others = {}
    with ExitStack() as held:
        given = [held.enter_context(TensorFile(path, OPTION)) for path in others.values()]
        yield kind, held.enter_context(Checkpoint(model)).encoder(None, given)


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).norm() <= 1e-5 * other.norm())


def test_words_and_vectors_are_the_host_s(read: tuple[str, Encoder]) -> None:
    kind, ours = read
    host = encoder_for(KINDS[kind].encoder(), HostProjections(transformer(kind)))
    assert [tuple(ours.tokens(text)) for text in TEXTS] == [tuple(host.tokens(text)) for text in TEXTS]
    assert close(ours.encode(TEXTS, silent), host.encode(TEXTS, silent))
    assert close(ours.encode_prefixes(TEXTS, 5), host.encode_prefixes(TEXTS, 5))
    assert close(ours.pooled(TEXTS), host.pooled(TEXTS))  # type: ignore[attr-defined]


def test_sd3_s_readings_and_vectors_are_the_host_s(tmp_path: Path) -> None:
    model, others = files("sd3", tmp_path)
    host = encoder_for(KINDS["sd3"].encoder(), HostProjections(transformer("sd3")))
    texts = [mark + text for text in TEXTS for mark in ("", SECOND)]
    with ExitStack() as held:
        given = [held.enter_context(TensorFile(path, OPTION)) for path in reversed(others.values())]  # in any order
        ours = held.enter_context(Checkpoint(model)).encoder(None, given)
        assert isinstance(ours, TwoReadings) and isinstance(host, TwoReadings)
        assert [tuple(ours.tokens(text)) for text in texts] == [tuple(host.tokens(text)) for text in texts]
        assert close(ours.encode(texts, silent), host.encode(texts, silent))
        assert close(ours.frame(), host.frame())
        assert close(ours.pooled(TEXTS), host.pooled(TEXTS))


def test_hidream_s_layers_are_the_host_s(tmp_path: Path) -> None:
    """Those of one group, the last of one and the first of another, and the very last."""
    model, others = files("hidream", tmp_path)
    host = encoder_for(KINDS["hidream"].encoder(), HostProjections(transformer("hidream")))
    with ExitStack() as held:
        given = [held.enter_context(TensorFile(path, OPTION)) for path in others.values()]
        ours = held.enter_context(Checkpoint(model)).encoder(None, given)
        assert isinstance(ours, Layered) and isinstance(host, Layered)
        for number in (0, 1, 7, 8, 31):
            mine, its = ours.layer(number), host.layer(number)
            assert [tuple(mine.tokens(text)) for text in TEXTS] == [tuple(its.tokens(text)) for text in TEXTS]
            assert close(mine.encode(TEXTS, silent), its.encode(TEXTS, silent)), number
            assert close(mine.encode_prefixes(TEXTS, 5), its.encode_prefixes(TEXTS, 5))
            assert close(frame_of(mine), frame_of(its))


@pytest.mark.parametrize("kind", ["flux", "hidream"])
def test_the_command_line_solves_what_the_node_does(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, others = files(kind, tmp_path)
    (tmp_path / "names.txt").write_text("cat\nVan Gogh -> art\n")
    given = [
        "erase",
        model,
        "--concepts",
        tmp_path / "names.txt",
        "--method",
        "uce",
        "--out",
        tmp_path / "edit.safetensors",
    ]
    for path in others.values():
        given += [OPTION, path]
    assert cli.main([str(part) for part in given]) == 0, capsys.readouterr().err
    edit, found = read_edit(tmp_path / "edit.safetensors"), HostProjections(transformer(kind))
    further, _ = chosen("auto", found)
    request = Request(
        parse_concepts("cat\nVan Gogh -> art"), settings=METHODS["uce"].settings(), method="uce", further=further
    )
    wanted = solve_edit(encode_request(encoder_for(KINDS[kind].encoder(), found), request)[0], found, request)
    assert (
        edit.matrices == wanted.matrices and edit.pooled is not None
    )  # Flux draws from the vector, so both are edited
    for name in edit.matrices:
        weight = found.read(name, torch.device("cpu"))
        assert (edit.delta(name, weight) - wanted.delta(name, weight)).norm() <= 1e-4 * wanted.delta(
            name, weight
        ).norm()


@pytest.mark.parametrize(
    ("left_out", "said"),
    [("t5xxl", r"has no T5-XXL, and Flux models read T5-XXL and CLIP-L"), ("clip_l", r"Flux models also read CLIP")],
)
def test_a_missing_file_is_named(left_out: str, said: str, tmp_path: Path) -> None:
    model, others = files("flux", tmp_path)
    with ExitStack() as held, pytest.raises(ScaPreError, match=said):
        given = [held.enter_context(TensorFile(path, OPTION)) for name, path in others.items() if name != left_out]
        held.enter_context(Checkpoint(model)).encoder(None, given).pooled(["cat"])  # type: ignore[attr-defined]


def test_every_family_that_is_read_from_files_has_what_it_needs() -> None:
    for family in FAMILIES.values():
        kind = family.encoder.files
        assert ("CLIP" in kind.value) == (family.title in TOWERS)
        assert kind in text_encoders.BUILDERS


@pytest.fixture
def bert_of_two_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bert, "_HEAD", 16)


def hunyuan_dit(path: Path) -> Path:
    """A checkpoint that holds all that HunyuanDiT reads with, as the host saves it."""
    clip = KINDS["hunyuan dit"].encoder()
    inside = {f"{INSIDE}{name}": value.contiguous().clone() for name, value in clip.get_sd().items()}
    save_file(weights_of("hunyuan dit") | inside, path)
    return path


@pytest.mark.usefixtures("bert_of_two_heads")
def test_hunyuan_dit_s_readings_are_the_host_s(tmp_path: Path) -> None:
    host = encoder_for(KINDS["hunyuan dit"].encoder(), HostProjections(transformer("hunyuan dit")))
    texts = [mark + text for text in (*TEXTS, "[SEP] 猫 and (a dog:1.2)") for mark in ("", SECOND)]
    with Checkpoint(hunyuan_dit(tmp_path / "model.safetensors")) as checkpoint:
        ours = checkpoint.encoder(None, [])
        assert [tuple(ours.tokens(text)) for text in texts] == [tuple(host.tokens(text)) for text in texts]
        assert close(ours.encode(texts, silent), host.encode(texts, silent))
        assert isinstance(ours, TwoReadings) and isinstance(host, TwoReadings)
        assert close(ours.frame(), host.frame())
        mine, its = ours.lexicon(), host.lexicon()
        assert mine and its and mine.words == its.words and "cat" in mine.words
        assert tuple(checkpoint.tokens()("a cat")) == tuple(host.tokens("a cat"))


@pytest.mark.usefixtures("bert_of_two_heads")
def test_hunyuan_dit_is_erased_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = hunyuan_dit(tmp_path / "model.safetensors")
    (tmp_path / "names.txt").write_text("cat\nVan Gogh -> art\n")
    out = tmp_path / "edit.safetensors"
    given = ["erase", model, "--concepts", tmp_path / "names.txt", "--method", "uce", "--out", out]
    assert cli.main([str(part) for part in given]) == 0, capsys.readouterr().err
    edit, found = read_edit(out), HostProjections(transformer("hunyuan dit"))
    request = Request(parse_concepts("cat\nVan Gogh -> art"), settings=METHODS["uce"].settings(), method="uce")
    encoder = encoder_for(KINDS["hunyuan dit"].encoder(), found)
    wanted = solve_edit(encode_request(encoder, request)[0], found, request)
    assert edit.matrices == wanted.matrices and edit.templates == wanted.templates
    for name in edit.matrices:
        weight = found.read(name, torch.device("cpu"))
        assert (edit.delta(name, weight) - wanted.delta(name, weight)).norm() <= 1e-4 * wanted.delta(
            name, weight
        ).norm()
    assert cli.main(["verify", str(model), str(out)]) == 0, capsys.readouterr().err


def test_hunyuan_dit_s_encoders_must_be_in_the_checkpoint(tmp_path: Path) -> None:
    save_file(weights_of("hunyuan dit"), tmp_path / "bare.safetensors")
    with Checkpoint(tmp_path / "bare.safetensors") as checkpoint:
        with pytest.raises(ScaPreError, match=r"has no mT5 with its vocabulary in it.*HunyuanDiT models read a BERT"):
            checkpoint.encoder(None, [])
        with (
            TensorFile(tmp_path / "bare.safetensors", OPTION) as file,
            pytest.raises(ScaPreError, match="Leave the option"),
        ):
            checkpoint.encoder(None, [file])


def anima(folder: Path) -> tuple[Path, Path]:
    """Anima, and Qwen3, in files."""
    model, encoder = folder / "model.safetensors", folder / "qwen.safetensors"
    save_file(weights_of("anima"), model)
    held = KINDS["anima"].encoder().cond_stage_model.qwen3_06b.transformer.state_dict()
    save_file({name: value.contiguous().clone() for name, value in held.items()}, encoder)
    return model, encoder


def test_anima_s_states_are_the_host_s(tmp_path: Path) -> None:
    host = encoder_for(KINDS["anima"].encoder(), HostProjections(transformer("anima")))
    model, encoder = anima(tmp_path)
    with Checkpoint(model) as checkpoint, TensorFile(encoder, OPTION) as file:
        ours = checkpoint.encoder(None, [file])
        assert [tuple(ours.tokens(text)) for text in TEXTS] == [tuple(host.tokens(text)) for text in TEXTS]
        assert close(ours.encode(TEXTS, silent), host.encode(TEXTS, silent))
        assert close(ours.encode_prefixes(TEXTS, 4), host.encode_prefixes(TEXTS, 4))
        for found in (ours.lexicon(), host.lexicon()):
            assert found is not None and not found.words and not found.clip


def test_damage_in_anima_s_own_network_is_said_to_be_there(tmp_path: Path) -> None:
    model, encoder = anima(tmp_path)
    weights = load_file(model)
    for layer in ("blocks.0.cross_attn.q_proj", "out_proj"):
        name = f"model.diffusion_model.llm_adapter.{layer}.weight"
        save_file(weights | {name: torch.full_like(weights[name], float("nan"))}, model)
        with (
            Checkpoint(model) as checkpoint,
            TensorFile(encoder, OPTION) as file,
            pytest.raises(ScaPreError, match=rf"^model: .*llm_adapter\.{layer}.* contains NaN or infinity"),
        ):
            checkpoint.encoder(None, [file]).encode(["cat"], silent)


def test_anima_s_own_network_is_no_copy_of_what_is_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, encoder = anima(tmp_path)
    (tmp_path / "names.txt").write_text("cat")
    given = ["--concepts", tmp_path / "names.txt", "--method", "uce", "--out", tmp_path / "out.safetensors"]
    asked = ["erase", model, OPTION, encoder, *given, "--export", "checkpoint"]
    assert cli.main([str(part) for part in asked]) == 0
    said = capsys.readouterr()
    assert "may still know" not in said.out + said.err


def test_anima_s_encoder_is_asked_for_by_name(tmp_path: Path) -> None:
    model, _ = anima(tmp_path)
    save_file(encoders_of("flux")["t5xxl"], tmp_path / "t5.safetensors")
    with Checkpoint(model) as checkpoint, TensorFile(tmp_path / "t5.safetensors", OPTION) as file:
        for others, said in (([], "has no text encoder"), ([file], "is a T5"), ([file, file], "2 files were given")):
            with pytest.raises(ScaPreError, match=rf"{said}.*Qwen3-0.6B"):
                checkpoint.encoder(None, others)


def with_changed(path: Path, change: dict[str, Tensor | None]) -> None:
    """A file with other tensors under some names, or without them."""
    content = {name: value for name, value in load_file(path).items() if name not in change}
    save_file(content | {name: value for name, value in change.items() if value is not None}, path)


_QWEN, _BERT = "model.layers.0.self_attn.", f"{INSIDE}hydit_clip.transformer.bert."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({f"{_QWEN}k_proj.weight": None}, "lacks .*k_proj"),
        ({f"{_QWEN}o_proj.weight": torch.zeros(7, 7)}, "do not fit each other"),
        ({f"{_QWEN}v_proj.weight": torch.full((1024, 32), float("nan"))}, "contains NaN"),
        ({f"{_QWEN}q_proj.weight": torch.zeros(2048, 32, dtype=torch.int8)}, "is quantised"),
        ({"model.embed_tokens.weight": torch.zeros(9)}, "no matrix"),
        ({"model.layers.7.x": torch.zeros(1)}, "lacks layers"),
    ],
)
def test_a_damaged_language_model_is_refused(change: dict[str, Tensor | None], said: str, tmp_path: Path) -> None:
    model, encoder = anima(tmp_path)
    with_changed(encoder, change)
    with ExitStack() as held, pytest.raises(ScaPreError, match=rf"(?s)qwen.safetensors.*{said}"):
        file = held.enter_context(TensorFile(encoder, OPTION))
        held.enter_context(Checkpoint(model)).encoder(None, [file]).encode(["cat"], silent)


@pytest.mark.usefixtures("bert_of_two_heads")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({f"{_BERT}embeddings.LayerNorm.bias": None}, "lacks .*LayerNorm"),
        ({f"{_BERT}encoder.layer.0.attention.self.query.weight": torch.zeros(5, 5)}, "do not fit each other"),
        ({f"{_BERT}encoder.layer.1.output.dense.bias": torch.full((32,), float("inf"))}, "contains NaN or infinity"),
        ({f"{_BERT}encoder.layer.5.x": torch.zeros(1)}, "lacks layers"),
        ({f"{_BERT}embeddings.word_embeddings.weight": None}, "has no BERT"),
    ],
)
def test_a_damaged_bert_is_refused(change: dict[str, Tensor | None], said: str, tmp_path: Path) -> None:
    path = hunyuan_dit(tmp_path / "model.safetensors")
    with_changed(path, change)
    with Checkpoint(path) as checkpoint, pytest.raises(ScaPreError, match=rf"(?s)model.safetensors.*{said}"):
        checkpoint.encoder(None, []).encode(["cat"], silent)


@pytest.mark.usefixtures("bert_of_two_heads")
def test_one_name_is_erased_by_the_default_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then no other name's end is looked for in the vocabulary."""
    model = hunyuan_dit(tmp_path / "model.safetensors")
    (tmp_path / "names.txt").write_text("cat\n")
    given = ["erase", model, "--concepts", tmp_path / "names.txt", "--out", tmp_path / "edit.safetensors"]
    assert cli.main([str(part) for part in given]) == 0, capsys.readouterr().err
    assert "mT5" in capsys.readouterr().out  # what no edit touches


def test_clip_in_scaled_eight_bits_is_read_with_its_scales(tmp_path: Path) -> None:
    model, others = files("flux", tmp_path)
    content, exact = load_file(others["clip_l"]), {}
    for name in [name for name in content if name.endswith("fc1.weight")]:
        scale = content[name].abs().max() / 448
        small = (content[name] / scale).to(torch.float8_e4m3fn)
        exact[name] = small.float() * scale
        content |= {name: small, f"{name.removesuffix('weight')}scale_weight": scale}
    with ExitStack() as held:
        found = []
        for content_of in (content, {**load_file(others["clip_l"]), **exact}):
            path = tmp_path / f"{len(found)}.safetensors"
            save_file(content_of, path)
            given = [held.enter_context(TensorFile(one, OPTION)) for one in (others["t5xxl"], path)]
            found.append(held.enter_context(Checkpoint(model)).encoder(None, given).pooled(TEXTS))  # type: ignore[attr-defined]
        assert torch.equal(*found)


def test_sd3_is_read_without_t5_as_it_is_drawn_with(tmp_path: Path) -> None:
    model, others = files("sd3", tmp_path)
    host = encoder_for(KINDS["sd3"].encoder(t5=False), HostProjections(transformer("sd3")))
    with ExitStack() as held:
        given = [held.enter_context(TensorFile(others[name], OPTION)) for name in ("clip_g", "clip_l")]
        ours = held.enter_context(Checkpoint(model)).encoder(None, given)
        assert close(ours.encode(TEXTS, silent), host.encode(TEXTS, silent))
