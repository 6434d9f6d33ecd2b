"""An edit of quantised weights arrives as it is: beside their layers, where nothing rounds it."""

from __future__ import annotations

from typing import Any

import comfy.sd
import pytest
import torch
from torch import Tensor

from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.scapre.edits.edit import Edit
from pack.tests.host import models
from pack.tests.host.models import CPU, loaded
from pack.tests.host.quantised import KIND, STORAGES, Made, answers, states_of

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

METHODS = ("auto", "scapre", "uce", "oce")


@pytest.fixture(scope="module")
def clip() -> comfy.sd.CLIP:
    """The text encoder of the kind of model that is quantised here."""
    return models.text_encoder(KIND)


def erase(model: Any, clip: Any, method: str = "scapre", concepts: str = "cat\nVincent van Gogh -> art") -> Edit:
    with torch.inference_mode():  # as the host runs nodes
        edit: Edit = EraseConcepts.EXECUTE_NORMALIZED(
            model=model, clip=clip, concepts=concepts, method=method, seed=1
        ).result[1]
        return edit


@pytest.fixture(scope="module")
def edits(clip: comfy.sd.CLIP) -> dict[str, Edit]:
    """An edit of each method, of the model before it was quantised."""
    return {method: erase(models.unet(KIND), clip, method) for method in METHODS}


@pytest.fixture(params=STORAGES)
def made(request: pytest.FixtureRequest) -> Made:
    """A model in each storage, and what its weights stand for."""
    return STORAGES[request.param]()


def error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Of all layers together, relative to what was expected."""
    apart = torch.stack([(found[name] - expected[name]).norm() for name in expected]).norm()
    return float(apart / torch.stack([value.norm() for value in expected.values()]).norm())


def moved(model: Any, edited: Any, names: Any, *, lowvram: bool = False) -> dict[str, Tensor]:
    """What an edit adds to the answers of layers."""
    with loaded(model, lowvram=lowvram) as network:
        before = answers(network, names)
    with loaded(edited, lowvram=lowvram) as network:
        after = answers(network, names)
    return {name: after[name] - before[name] for name in names}


def wanted(edit: Edit, values: dict[str, Tensor], strength: float) -> dict[str, Tensor]:
    """The same from the change of the dequantised weights, in float64."""
    states = states_of({name: values[name] for name in edit.shapes})
    return {name: strength * states[name] @ edit.delta(name, values[name]).double().T for name in edit.shapes}


def test_values_are_those_that_the_layers_compute_with(made: Made) -> None:
    model, values = made
    before = snapshot_of(model)
    found = HostProjections(model)
    for name, weight in values.items():
        read = found.read(name, CPU)
        assert read.dtype == torch.float32 and type(read) is Tensor and torch.equal(read, weight)
        assert found.shape(name) == tuple(weight.shape)
        read.zero_()
    assert snapshot_of(model) == before and not model.patches


def snapshot_of(model: Any) -> list[bytes]:
    """All bytes of a model, whatever they are kept in."""

    def raw(weight: Any) -> bytes:
        if hasattr(weight, "_qdata"):
            weight = weight._qdata
        with torch._C.DisableTorchFunctionSubclass():
            return bytes(Tensor.as_subclass(weight.detach(), Tensor).contiguous().view(torch.uint8).flatten().tolist())

    return [raw(parameter) for parameter in model.model.parameters() if parameter.ndim]


@pytest.mark.parametrize("lowvram", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_the_change_arrives(made: Made, method: str, lowvram: bool, edits: dict[str, Edit]) -> None:
    (model, values), edit = made, edits[method]
    before, strength = snapshot_of(model), 0.7
    found = moved(model, apply_edit(model, edit, strength), edit.shapes, lowvram=lowvram)
    assert error(found, wanted(edit, values, strength)) < 1e-5
    assert snapshot_of(model) == before
