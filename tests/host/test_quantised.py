"""An edit of quantised weights arrives as it is: beside their layers, where nothing rounds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.sd
import comfy_extras.nodes_model_merging as merging
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pack.nodes.apply_edit import ApplyEdit
from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.erase_neurons import EraseNeurons
from pack.nodes.host.carried import ITSELF, MERGED, carried
from pack.nodes.host.injection import Moved, Term
from pack.nodes.host.patch import apply_edit
from pack.nodes.host.projections import HostProjections
from pack.nodes.host.sampling import stock
from pack.nodes.unlearn import Unlearn
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre.export import FORMATS, Options
from pack.scapre.families import Part
from pack.scapre.files import read_edit, write_edit
from pack.scapre.methods.change import Change
from pack.scapre.progress import silent
from pack.tests.host import models, quantised
from pack.tests.host.models import CPU, answer, loaded, same
from pack.tests.host.quantised import KIND, STORAGES, Made, answers, plain, states_of, unet

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
    return {method: erase(unet(), clip, method) for method in METHODS}


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


def test_an_edit_solved_on_them_is_that_of_the_plain_model(made: Made, clip: comfy.sd.CLIP) -> None:
    model, values = made
    for method in METHODS:
        mine, its = erase(model, clip, method), erase(plain(values), clip, method)
        assert mine.fingerprint == its.fingerprint and mine.payload.same_as(its.payload)
        assert not mine.difference(HostProjections(model).samples(mine.shapes))
        assert same(models.tensors(mine), models.tensors(its))


def test_strength_zero_is_the_original_and_others_never_notice(made: Made, edits: dict[str, Edit]) -> None:
    (model, _), edit = made, edits["auto"]
    assert apply_edit(model, edit, 0.0) is model
    before, stored = answer(model), snapshot_of(model)
    edited = apply_edit(model, edit, 1.0)
    assert torch.equal(answer(model), before)
    changed = answer(edited)
    assert not torch.equal(changed, before)
    assert torch.equal(answer(model), before) and torch.equal(answer(edited), changed)
    with loaded(edited):
        assert torch.equal(answer(model), before)  # the host takes one clone's edit off for the other
    assert torch.equal(answer(edited.clone()), changed)
    assert snapshot_of(model) == stored and not hooks(model)


def hooks(model: Any) -> int:
    return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in model.model.modules())


@pytest.mark.parametrize("lowvram", [False, True])
def test_edits_stack_and_each_sees_what_is_before_it(
    made: Made, edits: dict[str, Edit], clip: comfy.sd.CLIP, lowvram: bool
) -> None:
    (model, values), first = made, edits["auto"]
    once = apply_edit(model, first, 0.8)
    second = erase(once, clip, "scapre", "sailing ship")
    moving = moved(model, apply_edit(once, second, 0.5), second.shapes, lowvram=lowvram)
    edited = {
        name: weight + 0.8 * first.delta(name, weight) if name in first.shapes else weight
        for name, weight in values.items()
    }
    found = HostProjections(once)
    for name, weight in edited.items():
        torch.testing.assert_close(found.read(name, CPU), weight, rtol=0, atol=1e-6)
    states = states_of(values)
    expected = {
        name: states[name] @ (edited[name] + 0.5 * second.delta(name, edited[name]) - weight).double().T
        for name, weight in values.items()
    }
    assert error(moving, expected) < 1e-5
    assert [held.where for held in carried(apply_edit(once, second, 0.5))] == [ITSELF, ITSELF]
    assert second.fingerprint == erase(plain(edited), clip, "scapre", "sailing ship").fingerprint


@pytest.mark.parametrize("lowvram", [False, True])
def test_a_lora_before_and_one_after(made: Made, clip: comfy.sd.CLIP, lowvram: bool) -> None:
    """The host rounds the LoRA itself where it stores it; the edit is what it would be of the weight with the LoRA."""
    model, values = made
    content, later = (models.lora(unet(), seed=seed) for seed in (5, 6))
    before = models.with_lora(model, content, 0.8)
    edit = erase(before, clip, "auto")
    edited = models.with_lora(apply_edit(before, edit, 1.0), later, 0.5)
    merged = {
        name: (weight.double() + models.lora_delta(content, name, 0.8)).float() for name, weight in values.items()
    }
    assert (
        error(moved(before, apply_edit(before, edit, 1.0), edit.shapes, lowvram=lowvram), wanted(edit, merged, 1.0))
        < 1e-5
    )
    both = models.with_lora(before, later, 0.5)
    assert error(moved(both, edited, edit.shapes, lowvram=lowvram), wanted(edit, merged, 1.0)) < 1e-5
    read = HostProjections(edited)
    for name, weight in merged.items():
        whole = weight + edit.delta(name, weight) if name in edit.shapes else weight
        whole = (whole.double() + models.lora_delta(later, name, 0.5)).float()
        torch.testing.assert_close(read.read(name, CPU), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("storage", ["fp8 storage e4m3", "int8_tensorwise", "GGUF"])
def test_an_edit_is_refused_twice_in_every_form(storage: str, edits: dict[str, Edit], tmp_path: Path) -> None:
    (model, values), edit = STORAGES[storage](), edits["auto"]
    write_edit(edit, tmp_path / "a.safetensors")
    file = read_edit(tmp_path / "a.safetensors")
    edited = apply_edit(model, file, 1.0)
    assert error(moved(model, edited, edit.shapes), wanted(edit, values, 1.0)) < 1e-5
    for form in (edit, file):
        for carrying in (edited, edited.clone(), models.with_lora(edited, models.lora(unet(), seed=5), 0.5)):
            with pytest.raises(ScaPreError, match="already carries this edit"):
                apply_edit(carrying, form, 1.0)


def test_only_what_is_quantised_stands_beside(edits: dict[str, Edit]) -> None:
    (model, values), edit = quantised.in_layout("mxfp8", chosen=lambda name: ".attn2.to_v" in name), edits["uce"]
    all_values = {name: HostProjections(model).read(name, CPU) for name in edit.shapes}
    edited = apply_edit(model, edit, 0.7)
    assert set(edited.patches) == set(edit.shapes) - set(values) and set(edited.patches)
    for lowvram in (False, True):
        assert error(moved(model, edited, edit.shapes, lowvram=lowvram), wanted(edit, all_values, 0.7)) < 1e-5
    assert [held.where for held in carried(edited)] == [ITSELF]


def test_a_model_merged_over_it_leaves_its_share(edits: dict[str, Edit]) -> None:
    (model, values), edit = quantised.stored(torch.float8_e4m3fn), edits["auto"]
    other = unet(1)
    mixed, with_edit = (
        merging.ModelMergeSimple().merge(first, other, 0.25)[0] for first in (model, apply_edit(model, edit, 1.0))
    )
    assert error(moved(mixed, with_edit, edit.shapes, lowvram=True), wanted(edit, values, 0.25)) < 1e-5
    assert [held.where for held in carried(with_edit)] == [MERGED]
    with pytest.raises(ScaPreError, match="inside a merge"):
        apply_edit(with_edit, edit, 1.0)


def test_merged_into_another_model_it_is_left_behind(edits: dict[str, Edit]) -> None:
    (model, _), edit = quantised.stored(torch.float8_e4m3fn), edits["auto"]
    into = merging.ModelMergeSimple().merge(unet(1), apply_edit(model, edit, 1.0), 0.25)[0]
    assert not list(carried(into))


def test_a_clone_that_goes_away_takes_nothing_off(edits: dict[str, Edit]) -> None:
    model, _ = quantised.stored(torch.float8_e4m3fn)
    edited = apply_edit(model, edits["auto"], 1.0)
    with loaded(edited):
        there = hooks(model)
        clone = edited.clone()
        del clone
        assert there and hooks(model) == there
    assert not hooks(model)


def test_a_picture_is_that_of_the_plain_edited_model(made: Made, clip: comfy.sd.CLIP, edits: dict[str, Edit]) -> None:
    (model, values), edit = made, edits["auto"]
    pictures = [draw(m, clip) for m in (apply_edit(model, edit, 1.0), model)]
    expected = [draw(m, clip) for m in (apply_edit(plain(values), edit, 1.0), plain(values))]
    assert all(picture.isfinite().all() for picture in pictures) and not torch.equal(*pictures)
    if not rounds(model):
        for mine, its in zip(pictures, expected, strict=True):
            torch.testing.assert_close(mine, its, rtol=0, atol=1e-3 * float(its.abs().max()))
    management.unload_all_models()
    assert not hooks(model)


def rounds(model: Any) -> bool:
    """Whether any layer computes with something else than its dequantised weight."""
    layouts = {getattr(layer.weight, "_layout_cls", "") for layer in model.model.modules() if hasattr(layer, "weight")}
    full = all(getattr(layer, "_full_precision_mm", True) for layer in model.model.modules())
    return not full or bool(layouts & {"TensorWiseINT8Layout", "TensorCoreConvRotW4A4Layout"})


def draw(model: Any, clip: comfy.sd.CLIP) -> Tensor:
    """What a KSampler makes of a prompt."""
    with torch.no_grad():  # a model that was made out of inference mode cannot be moved in it by this host
        prompt, empty = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in ("a cat", ""))
        latent = {"samples": torch.zeros(1, 4, 8, 8)}
        drawn: Tensor = stock.common_ksampler(model, 3, 3, 5.0, "euler", "normal", prompt, empty, latent)[0]["samples"]
    return drawn


def test_the_nodes_say_that_files_of_the_host_leave_it_out(clip: comfy.sd.CLIP, edits: dict[str, Edit]) -> None:
    for model, told in ((quantised.in_layout("mxfp8")[0], True), (unet(), False)):
        with torch.inference_mode():
            report = EraseConcepts.EXECUTE_NORMALIZED(model=model, clip=clip, concepts="cat").result[2]
            shown = ApplyEdit.EXECUTE_NORMALIZED(model=model, edit=edits["auto"], strength=1.0).ui
        assert ("of these weights are quantised" in report) == told
        assert (shown is not None) == told or not told


@pytest.mark.parametrize("storage", ["fp8 storage e4m3", "float8_e4m3fn", "GGUF"])
def test_a_difference_of_it_is_that_of_the_plain_model(storage: str, edits: dict[str, Edit], tmp_path: Path) -> None:
    (model, values), edit = STORAGES[storage](), edits["auto"]
    for name, weights in (("a", HostProjections(model)), ("b", HostProjections(plain(values)))):
        FORMATS["diff"](edit, weights, tmp_path / f"{name}.safetensors", Options(), silent)
    assert same(load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors"))


@pytest.mark.parametrize("storage", ["fp8 storage e4m3", "int8_tensorwise", "fp8 that rounds what goes in"])
def test_neurons_are_erased(storage: str, clip: comfy.sd.CLIP) -> None:
    model, values = STORAGES[storage](chosen=lambda name: name.endswith("ff.net.2.weight"))
    with torch.no_grad():
        edited, edit, _ = EraseNeurons.execute(
            model, clip, "cat\ndog", size=64, steps=4, recorded=2, pairs=3, neuron_ratio=0.05
        ).result
    assert set(edit.shapes) == set(values) and not edited.patches
    for lowvram in (False, True):
        assert error(moved(model, edited, edit.shapes, lowvram=lowvram), wanted(edit, values, 1.0)) < 1e-5


def test_nothing_is_trained_in_them(clip: comfy.sd.CLIP) -> None:
    model, _ = quantised.stored(torch.float8_e4m3fn)
    with pytest.raises(ScaPreError, match=r"model: .* is quantised, and no weight can be trained.*bf16 or fp32"):
        Unlearn.execute(model, clip, "cat")


def test_a_convolution_gets_its_change_too() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Conv2d(4, 6, 3, padding=1, bias=False)
    change = torch.randn(6, 36, generator=generator)
    term = Term.of(Change(change, None, layer.weight.detach().flatten(1)), Part("w"), (6, 4, 3, 3), Moved(CPU))
    states = torch.randn(1, 4, 8, 8, generator=generator)
    expected = layer(states) + 0.5 * torch.nn.functional.conv2d(states, change.view(6, 4, 3, 3), padding=1)
    found = term.on(Moved(CPU), 0.5)(layer, (states,), layer(states))
    torch.testing.assert_close(found, expected)


def test_the_first_columns_of_a_layer_get_their_change_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    layer, change = torch.nn.Linear(10, 6), torch.randn(6, 4, generator=generator)
    term = Term.of(Change(change, None, layer.weight.detach()[:, :4]), Part("w", columns=4), (6, 4), Moved(CPU))
    states = torch.randn(3, 10, generator=generator)
    found = term.on(Moved(CPU), 0.5)(layer, (states,), layer(states))
    torch.testing.assert_close(found, layer(states) + 0.5 * states[:, :4] @ change.T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_it_is_held_in_that(dtype: torch.dtype, edits: dict[str, Edit]) -> None:
    model, values = quantised.stored(torch.float8_e4m3fn)
    model.model.manual_cast_dtype, edit = dtype, edits["auto"]
    found = moved(model, apply_edit(model, edit, 1.0), edit.shapes)
    assert error(found, wanted(edit, values, 1.0)) < 2 * torch.finfo(dtype).eps
