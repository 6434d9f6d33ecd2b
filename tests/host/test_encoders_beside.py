"""Flux and SD3 from files: T5 with CLIP beside it, for the vectors or for words of its own, as the host reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import encoder_for
from pack.scapre import cli
from pack.scapre.checkpoints import text_encoders
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.checkpoints.tensor_file import TensorFile
from pack.scapre.checkpoints.text_encoders import OPTION
from pack.scapre.checkpoints.towers import TOWERS
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.errors import ScaPreError
from pack.scapre.families import FAMILIES
from pack.scapre.files import read_edit
from pack.scapre.methods import METHODS
from pack.scapre.progress import silent
from pack.scapre.solve import Request, encode_request, solve_edit
from pack.scapre.states.encoder import Encoder
from pack.scapre.states.readings import SECOND, TwoReadings
from pack.tests.host.transformers import KINDS, transformer

TEXTS = ["", "cat", "a red cat in the style of van gogh"]
PARTS = {"flux": ("t5xxl", "clip_l"), "sd3": ("t5xxl", "clip_l", "clip_g")}
INSIDE = "text_encoders."


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders as small as those of the tests."""
    for family in ("SD3", "Flux"):
        towers = tuple(replace(one, heads=heads, layers=2) for one, heads in zip(TOWERS[family], (2, 3), strict=False))
        monkeypatch.setitem(text_encoders.TOWERS, family, towers)


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


@pytest.fixture(params=["apart", "inside"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Encoder]]:
    """The encoder of Flux's files, or of a checkpoint that holds them."""
    kind = "flux"
    model, others = files(kind, tmp_path)
    if request.param == "inside":
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


def test_flux_s_words_and_vectors_are_the_host_s(read: tuple[str, Encoder]) -> None:
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


def test_the_command_line_solves_what_the_node_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, others = files("flux", tmp_path)
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
    edit, found = read_edit(tmp_path / "edit.safetensors"), HostProjections(transformer("flux"))
    request = Request(
        parse_concepts("cat\nVan Gogh -> art"), settings=METHODS["uce"].settings(), method="uce", pooled=True
    )
    wanted = solve_edit(encode_request(encoder_for(KINDS["flux"].encoder(), found), request)[0], found, request)
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
    [("t5xxl", r"has no T5-XXL in it, and Flux models read T5-XXL and CLIP-L"), ("clip_l", r"text_encoders.clip_l")],
)
def test_a_missing_file_is_named(left_out: str, said: str, tmp_path: Path) -> None:
    model, others = files("flux", tmp_path)
    with ExitStack() as held, pytest.raises(ScaPreError, match=said):
        given = [held.enter_context(TensorFile(path, OPTION)) for name, path in others.items() if name != left_out]
        held.enter_context(Checkpoint(model)).encoder(None, given)


def test_every_family_that_is_read_from_files_has_what_it_needs() -> None:
    for family in FAMILIES.values():
        if family.encoder.alone and not family.adapter:
            assert family.title in TOWERS or "T5" in family.encoder.title
