"""Flux with its inputs quantised: an edit of the words and of the pooled vector arrives as it was solved."""

from __future__ import annotations

import comfy.sd
import pytest
import torch

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.scapre.edits.edit import Edit
from pack.tests.host import models, quantised
from pack.tests.host.models import CPU, same, snapshot
from pack.tests.host.quantised import Made, of_config, packed, stored
from pack.tests.host.test_quantised import error, moved, wanted
from pack.tests.host.transformers import KINDS, transformer

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

INPUTS = ("txt_in.weight", "vector_in.in_layer.weight")


def is_input(name: str) -> bool:
    return name.endswith(INPUTS)


def in_layout(form: str) -> Made:
    family = KINDS["flux"]
    config = family.model(dict(family.settings))
    config.unet_config |= family.settings
    return of_config(transformer("flux"), config, form, is_input)


STORAGES = {
    "fp8 storage": lambda: stored(torch.float8_e4m3fn, is_input, model=transformer("flux")),
    "scaled fp8": lambda: in_layout("float8_e4m3fn"),
    "nvfp4": lambda: in_layout("nvfp4"),
    "int8": lambda: in_layout("int8_tensorwise"),
    "GGUF": lambda: packed(is_input, model=transformer("flux")),
}


@pytest.fixture(scope="module")
def clip() -> comfy.sd.CLIP:
    """T5 and CLIP-L."""
    return KINDS["flux"].encoder()


@pytest.fixture(params=STORAGES)
def made(request: pytest.FixtureRequest) -> Made:
    """The model, and what its quantised weights stand for."""
    return STORAGES[request.param]()


def erase(model: object, clip: comfy.sd.CLIP) -> Edit:
    with torch.inference_mode():
        edit: Edit = EraseConcepts.execute(model, clip, "cat\nVan Gogh -> art", method="uce", preset="objects").args[1]
        return edit


@pytest.mark.parametrize("lowvram", [False, True])
def test_words_and_vector_are_edited_exactly(made: Made, clip: comfy.sd.CLIP, lowvram: bool) -> None:
    model, values = made
    assert {name.removeprefix("diffusion_model.") for name in values} == set(INPUTS)
    edit = erase(model, clip)
    assert set(edit.matrices) == set(values)
    found = moved(model, apply_edit(model, edit, 0.7), edit.matrices, lowvram=lowvram)
    states = quantised.states_of({name: values[name] for name in edit.matrices})
    expected = {name: 0.7 * states[name] @ edit.delta(name, values[name]).double().T for name in edit.matrices}
    assert error(found, expected) < 1e-5
    assert edit.pooled is not None and wanted(edit, values, 0.7).keys() == edit.shapes.keys()


def test_it_is_the_edit_of_what_the_weights_stand_for(made: Made, clip: comfy.sd.CLIP) -> None:
    model, values = made
    plain = transformer("flux")
    for name, weight in values.items():
        quantised.layer_of(plain.model, name).weight = torch.nn.Parameter(weight.clone(), requires_grad=False)
    kept = snapshot(plain)
    mine, its = erase(model, clip), erase(plain, clip)
    for name in its.matrices:
        weight = HostProjections(plain).read(name, CPU)
        assert (mine.delta(name, weight) - its.delta(name, weight)).norm() <= 1e-5 * its.delta(name, weight).norm()
    assert same(models.snapshot(plain), kept)
