"""What is particular to models in which text and picture attend to each other; `test_static_text` has the rest."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.text_encoder import ClipEncoder, encoder_for
from pack.nodes.unlearn import Unlearn
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.errors import ScaPreError
from pack.scapre.families import Role
from pack.scapre.files import read_edit, write_edit
from pack.scapre.methods import METHODS
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.scapre.states.encoder import frame_of
from pack.scapre.states.prompts import NULL
from pack.tests.host import models
from pack.tests.host.transformers import KINDS, transformer

POOLED = {
    "flux": "vector_in", "hunyuan video": "vector_in", "kandinsky 5": "pooled_text_embeddings",
    "kandinsky 5 image": "pooled_text_embeddings",
}  # fmt: skip
CHATS = (
    "flux 2", "qwen image", "z-image", "omnigen2", "hunyuan video", "hunyuan video 1.5",
    "kandinsky 5", "kandinsky 5 image",
)  # fmt: skip


def erased(kind: str, **more: Any) -> Any:
    with torch.inference_mode():
        return EraseConcepts.execute(
            transformer(kind), KINDS[kind].encoder(), "cat", **{"method": "uce", "preset": "objects", **more}
        ).args


@pytest.mark.parametrize("kind", POOLED)
def test_the_pooled_vector_is_edited_unless_it_is_forbidden(kind: str) -> None:
    edit = erased(kind)[1]
    assert edit.pooled is not None and list(edit.pooled.shapes) == [f"diffusion_model.{POOLED[kind]}.in_layer.weight"]
    _, without, report = erased(kind, pooled="off")
    assert without.pooled is None and "also draw names from the pooled vector" in report


@pytest.mark.parametrize("kind", ["z-image", "flux 2"])
def test_other_families_have_no_vector(kind: str) -> None:
    _, edit, report = erased(kind, pooled="on")
    assert edit.pooled is None and "read no pooled vector" in report


def test_vectors_are_those_that_the_host_gives_with_the_states() -> None:
    clip = KINDS["flux"].encoder()
    texts = ["cat", "", "a red cat in the style of van gogh"]
    for text, vector in zip(texts, ClipEncoder(clip).pooled(texts), strict=True):
        there: Tensor = ClipEncoder(clip).conditioning(text)[0][1]["pooled_output"][0]
        assert (vector - there).abs().max() <= 1e-5 * there.abs().max()


def solved(kind: str) -> Edit:
    found = HostProjections(transformer(kind))
    request = Request(parse_concepts("cat"), settings=METHODS["auto"].settings(), method="auto")
    return solve_edit(encode_request(encoder_for(KINDS[kind].encoder(), found), request)[0], found, request)


@pytest.mark.parametrize("kind", ["z-image"])
def test_what_stands_in_every_prompt_is_held_and_kept_with_the_edit(kind: str, tmp_path: Any) -> None:
    model = transformer(kind)
    frame = frame_of(encoder_for(KINDS[kind].encoder(), HostProjections(model)))
    edit = solved(kind)
    assert frame is not None and edit.states.frame == len(frame) > 1
    assert torch.equal(edit.states.rows(NULL, edit.states.kept[NULL])[edit.states.window :], frame)
    name = next(iter(edit.shapes))
    weight = HostProjections(model).read(name, models.CPU)
    moved, before = edit.delta(name, weight) @ frame.T, weight @ frame.T
    assert moved.norm() <= 1e-3 * before.norm()
    write_edit(edit, tmp_path / "edit.safetensors")
    assert read_edit(tmp_path / "edit.safetensors").same_as(edit)


@pytest.mark.parametrize("kind", CHATS)
@pytest.mark.parametrize("name", ["<|im_end|>", "<think> cat", "[INST] cat", "<|im_start|>system", "(cat:1.3)", "{}"])
def test_names_are_read_literally_inside_a_template(kind: str, name: str) -> None:
    encoder = ClipEncoder(KINDS[kind].encoder())
    tokens = encoder.tokens(f"{name} tulip")
    assert not {151643, 151644, 151645, 151667, 128000, 128006, 128009} & set(tokens)
    assert tokens[-1] == encoder.tokens("a tulip")[-1]


@pytest.mark.parametrize("kind", ["z-image", "qwen image", "flux", "hidream"])
def test_weights_that_are_shared_with_the_picture_are_not_trained(kind: str) -> None:
    model = transformer(kind)
    kept = models.snapshot(model)
    with pytest.raises(ScaPreError, match=r"^(model|layers|method): "), torch.inference_mode():
        Unlearn.execute(model, KINDS[kind].encoder(), "cat", iterations=2)
    assert models.same(models.snapshot(model), kept)


def test_roles_are_those_of_the_text_s_ways_in() -> None:
    for kind in ("flux", "mochi", "hunyuan video", "z-image"):
        roles = HostProjections(transformer(kind)).roles
        assert set(roles.values()) <= {Role.INPUT, Role.POOLED, Role.FEED_FORWARD}
        assert all(role is not Role.FEED_FORWARD for name, role in roles.items() if "double_blocks" not in name)
