"""Transformers whose text projections are quantised: an edit arrives as it was solved."""

from __future__ import annotations

from collections.abc import Callable

import comfy.sd
import pytest
import torch

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.scapre.edits.edit import Edit
from pack.scapre.families.parts import part
from pack.tests.host import models, quantised
from pack.tests.host.models import CPU, same, snapshot
from pack.tests.host.quantised import Made, of_config, packed, stored
from pack.tests.host.test_quantised import error, moved
from pack.tests.host.transformers import KINDS, transformer

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

CHOSEN = {
    "flux": ("txt_in.weight", "vector_in.in_layer.weight"),
    "hunyuan dit": ("attn2.kv_proj.weight",),  # keys and values in one
    "hidream": (
        *(f"caption_projection.{block}.linear.weight" for block in range(49)),
        "p_embedder.pooled_embedder.linear_1.weight",
    ),
}


def chosen(kind: str) -> Callable[[str], bool]:
    """Whether a weight is one of those, by its name."""
    return lambda name: name.endswith(CHOSEN[kind])


def in_layout(kind: str, form: str) -> Made:
    family = KINDS[kind]
    config = family.model(dict(family.settings))
    config.unet_config |= family.settings
    return of_config(transformer(kind), config, form, chosen(kind))


STORAGES: dict[str, Callable[[str], Made]] = {
    "fp8 storage": lambda kind: stored(torch.float8_e4m3fn, chosen(kind), model=transformer(kind)),
    "scaled fp8": lambda kind: in_layout(kind, "float8_e4m3fn"),
    "nvfp4": lambda kind: in_layout(kind, "nvfp4"),
    "int8": lambda kind: in_layout(kind, "int8_tensorwise"),
    "GGUF": lambda kind: packed(chosen(kind), model=transformer(kind)),
}


@pytest.fixture(scope="module", params=CHOSEN)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def clip(kind: str) -> comfy.sd.CLIP:
    return KINDS[kind].encoder()


@pytest.fixture(params=STORAGES)
def made(kind: str, request: pytest.FixtureRequest) -> Made:
    """The model, and what its quantised weights stand for."""
    return STORAGES[request.param](kind)


def erase(model: object, clip: comfy.sd.CLIP) -> Edit:
    with torch.inference_mode():
        edit: Edit = EraseConcepts.execute(model, clip, "cat\nVan Gogh -> art", method="uce", preset="objects").args[1]
        return edit


@pytest.mark.parametrize("lowvram", [False, True])
def test_the_change_arrives(made: Made, kind: str, clip: comfy.sd.CLIP, lowvram: bool) -> None:
    model, values = made
    assert values and all(name.endswith(CHOSEN[kind]) for name in values)
    edit = erase(model, clip)
    assert {part(name).weight for name in edit.matrices} == set(values)
    found = moved(model, apply_edit(model, edit, 0.7), values, lowvram=lowvram)
    states = quantised.states_of(values)
    whole = {name: torch.zeros_like(value) for name, value in values.items()}
    for name in edit.matrices:
        at = part(name)
        at.of(whole[at.weight]).add_(edit.delta(name, at.of(values[at.weight])))
    assert error(found, {name: 0.7 * states[name] @ change.double().T for name, change in whole.items()}) < 1e-5
    assert (edit.pooled is not None) == (kind != "hunyuan dit")


def test_it_is_the_edit_of_what_the_weights_stand_for(made: Made, kind: str, clip: comfy.sd.CLIP) -> None:
    model, values = made
    plain = transformer(kind)
    for name, weight in values.items():
        quantised.layer_of(plain.model, name).weight = torch.nn.Parameter(weight.clone(), requires_grad=False)
    kept = snapshot(plain)
    mine, its = erase(model, clip), erase(plain, clip)
    for name in its.matrices:
        weight = HostProjections(plain).read(name, CPU)
        assert (mine.delta(name, weight) - its.delta(name, weight)).norm() <= 1e-5 * its.delta(name, weight).norm()
    assert same(models.snapshot(plain), kept)
