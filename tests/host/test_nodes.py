"""The nodes as the host sees them, and run by it on tiny models."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import Any

import comfy.sd
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from pack.nodes import NODES, comfy_entrypoint
from pack.nodes.apply_edit import ApplyEdit
from pack.nodes.before_after import BeforeAfter
from pack.nodes.before_after_grid import BeforeAfterGrid
from pack.nodes.concept_list import ConceptList
from pack.nodes.edit_map import EditMap
from pack.nodes.erase_concepts import EraseConcepts
from pack.nodes.erase_neurons import EraseNeurons
from pack.nodes.export_edit import ExportEdit
from pack.nodes.merge_edits import MergeEdits
from pack.nodes.probe import Probe
from pack.nodes.unlearn import Unlearn
from pack.scapre import linalg
from pack.scapre.concepts.concepts import Concept
from pack.scapre.edits.edit import Edit
from pack.scapre.errors import ScaPreError
from pack.scapre.methods import FIRST, Method, closed_forms
from pack.scapre.methods.scapre.settings import PRESETS
from pack.scapre.methods.settings import Setting
from pack.scapre.methods.settings import declared as declared_of
from pack.tests.host import models
from pack.tests.host.models import answer, projections, same, snapshot, tensors, unet

# Final: workflow files keep ids by name and widget values by position.
INPUTS = {
    "ScaPreEraseConcepts": "model clip concepts anchor preserve preset strength seed templates device variant informax "
    "residual spectral row_valve technique ridge erase_scale gate_power gate_temperature noise alpha_min "
    "spectral_temperature spectral_power samples bins bures_steps method kind search hold keep reach simplify "
    "preserve_scale search_ridge round_ridge round_preserve rounds influence_filter null_threshold invariant_ridge "
    "augment general_scale held_share wordings pooled auto_strength most_left size",
    "ScaPreEraseNeurons": "model clip concepts preserve preset strength seed kind saliency neuron_ratio agnostic_ratio "
    "persistence_ratio cfg pairs steps recorded size words sampler_name scheduler rounds",
    "ScaPreUnlearn": "model clip concepts preserve preset strength seed iterations learning_rate rank preview_every "
    "resume layers loss checkpointing guidance erase empty_erase empty_weight augmented noise hold mask first steps "
    "passes batch neighbours mask_every size wordings scheduler",
    "ScaPreEraseWhileSampling": "model concepts clip edit strength start_percent end_percent conditioning gate",
    "ScaPreApplyEdit": "model edit strength",
    "ScaPreConceptList": "source filter more read_as column",
    "ScaPreSaveEdit": "edit filename_prefix include_names for_merging",
    "ScaPreLoadEdit": "file",
    "ScaPreMergeEdits": "model edits remove settings_from strength device clip",
    "ScaPreExportEdit": "model edit format rank tolerance dtype include_names filename_prefix",
    "ScaPreEditMap": "edit width theme",
    "ScaPreProbe": "original edited clip names preserve steps look_at cfg seed seeds wordings size sampler_name "
    "scheduler attacks",
    "ScaPreBeforeAfter": "original edited clip vae prompts negative seed steps cfg sampler_name scheduler width height",
    "ScaPreBeforeAfterGrid": "before after captions columns before_heading after_heading",
}
OUTPUTS = {
    "ScaPreEraseConcepts": {"model": "MODEL", "edit": "SCAPRE_EDIT", "report": "STRING"},
    "ScaPreEraseNeurons": {"model": "MODEL", "edit": "SCAPRE_EDIT", "report": "STRING"},
    "ScaPreUnlearn": {"model": "MODEL", "edit": "SCAPRE_EDIT", "report": "STRING"},
    "ScaPreEraseWhileSampling": {"model": "MODEL", "report": "STRING"},
    "ScaPreApplyEdit": {"model": "MODEL"},
    "ScaPreConceptList": {"concepts": "STRING"},
    "ScaPreSaveEdit": {},
    "ScaPreLoadEdit": {"edit": "SCAPRE_EDIT", "report": "STRING"},
    "ScaPreMergeEdits": {"model": "MODEL", "edit": "SCAPRE_EDIT", "report": "STRING"},
    "ScaPreExportEdit": {"report": "STRING"},
    "ScaPreEditMap": {"image": "IMAGE"},
    "ScaPreProbe": {"report": "STRING", "image": "IMAGE", "scores": "STRING"},
    "ScaPreBeforeAfter": {"before": "IMAGE", "after": "IMAGE", "captions": "STRING"},
    "ScaPreBeforeAfterGrid": {"grid": "IMAGE"},
}
NAMES = {
    "ScaPreEraseConcepts": "Erase Concepts",
    "ScaPreEraseNeurons": "Erase Neurons",
    "ScaPreUnlearn": "Unlearn Concepts",
    "ScaPreEraseWhileSampling": "Erase While Sampling",
    "ScaPreApplyEdit": "Apply Edit",
    "ScaPreConceptList": "Concept List",
    "ScaPreSaveEdit": "Save Edit",
    "ScaPreLoadEdit": "Load Edit",
    "ScaPreMergeEdits": "Merge Edits",
    "ScaPreExportEdit": "Export Edit",
    "ScaPreEditMap": "Edit Map",
    "ScaPreProbe": "Probe",
    "ScaPreBeforeAfter": "Before and After",
    "ScaPreBeforeAfterGrid": "Before After Grid",
}
SHOWN = {"ScaPreSaveEdit", "ScaPreExportEdit", "ScaPreBeforeAfter", "ScaPreProbe"}  # can be queued alone
SEARCHES = {
    "ScaPreEraseConcepts": "erase remove forget unlearn ban artist style object nsfw explicit scapre",
    "ScaPreEraseNeurons": "prune neurons FIA forget erase scapre",
    "ScaPreUnlearn": "train fine-tune KSCU ESD unlearn forget erase remove scapre",
    "ScaPreEraseWhileSampling": "adavd schedule timestep sigma start end negative erase scapre",
    "ScaPreApplyEdit": "erase strength scapre",
    "ScaPreConceptList": "names list artists file txt scapre",
    "ScaPreSaveEdit": "store share export file scapre",
    "ScaPreLoadEdit": "open import file scapre",
    "ScaPreMergeEdits": "combine join union remove stack scapre",
    "ScaPreExportEdit": "lora save share erase scapre",
    "ScaPreBeforeAfter": "compare slider sampler erase scapre",
    "ScaPreBeforeAfterGrid": "compare grid captions collage scapre",
    "ScaPreEditMap": "report chart graph heatmap conflict similarity scapre",
    "ScaPreProbe": "test check verify measure score compare leftover remaining scapre",
}
ADVANCED = [name for name in INPUTS["ScaPreEraseConcepts"].split()[8:] if name != "method"]
NUMERIC = ADVANCED[2 : ADVANCED.index("pooled")]  # between templates and device, and what came later
SCALE = {"variant": "scale", "spectral": "on", "row_valve": "on", "technique": "tensor", "informax": "off"}

pytestmark = pytest.mark.usefixtures("nothing_left_loaded")

every_node = pytest.mark.parametrize("node", NODES, ids=lambda node: node.GET_SCHEMA().node_id)


@pytest.fixture
def model() -> ModelPatcher:
    """A tiny SD1.x model."""
    return unet()


def settings_of(solver: Method) -> tuple[Setting, ...]:
    return declared_of(solver.settings)


def run(node: type[io.ComfyNode], **inputs: Any) -> tuple[Any, ...]:
    """Executes a node as the host does."""
    with torch.inference_mode():
        return node.EXECUTE_NORMALIZED(**inputs).result


def inputs_of(node: type[io.ComfyNode]) -> dict[str, list[Any]]:
    """Declarations of what the user sees, by name, as /object_info sends them."""
    info = node.GET_NODE_INFO_V1()
    shown = {group: held for group, held in info["input"].items() if group != "hidden"}
    assert all(list(held) == info["input_order"][group] for group, held in shown.items())
    return {name: declared for held in shown.values() for name, declared in held.items()}


# --- what the host is told ---


def test_the_extension_hands_over_all_nodes() -> None:
    async def nodes() -> list[type[io.ComfyNode]]:
        return await (await comfy_entrypoint()).get_node_list()

    assert asyncio.run(nodes()) == list(NODES)
    assert {node.GET_SCHEMA().node_id for node in NODES} == set(NAMES)


@every_node
def test_ids_and_order_are_final(node: type[io.ComfyNode]) -> None:
    info = node.GET_NODE_INFO_V1()
    assert info["display_name"] == NAMES[info["name"]]
    assert info["category"] == "model/scapre"
    assert list(inputs_of(node)) == INPUTS[info["name"]].split()
    assert dict(zip(info["output_name"], info["output"], strict=True)) == OUTPUTS[info["name"]]
    assert info["output_node"] == (info["name"] in SHOWN)
    assert not info["deprecated"] | info["experimental"]


@every_node
def test_everything_is_explained_and_found(node: type[io.ComfyNode]) -> None:
    info = node.GET_NODE_INFO_V1()
    texts = [*(declared[1].get("tooltip") for declared in inputs_of(node).values()), *info["output_tooltips"]]
    assert len(texts) == len(inputs_of(node)) + len(info["output"])
    assert all(text and text.strip().endswith(".") for text in [*texts, info["description"]])
    assert set(SEARCHES[info["name"]].split()) <= set(info["search_aliases"])
    assert len(set(info["search_aliases"])) == len(info["search_aliases"])


@every_node
def test_defaults_are_accepted_by_their_own_declarations(node: type[io.ComfyNode]) -> None:
    for name, (kind, declared) in inputs_of(node).items():
        if kind == "COMBO":
            assert declared.get("default") is None or declared["default"] in declared["options"]
        elif kind in ("INT", "FLOAT"):
            assert declared["min"] <= declared["default"] <= declared["max"]
        elif kind == "STRING":
            assert bool(declared["default"]) == (name in ("filename_prefix", "look_at") or name.endswith("_heading"))
            assert not declared.get("dynamicPrompts")  # braces in a name are text
        else:
            assert kind in ("MODEL", "CLIP", "VAE", "IMAGE", "SCAPRE_EDIT", "BOOLEAN", "COMFY_AUTOGROW_V3")


def test_what_a_new_node_starts_with() -> None:
    declared = {name: more for name, (_, more) in inputs_of(EraseConcepts).items()}
    main = {name: declared[name]["default"] for name in ("anchor", "preserve", "preset", "strength", "seed")}
    assert main == {"anchor": "", "preserve": "", "preset": "objects-few", "strength": 1.0, "seed": 0}
    assert [name for name, more in declared.items() if more.get("advanced")] == ADVANCED
    assert {declared[name]["default"] for name in NUMERIC} == {"preset", -1, ""}
    presets = [list(solver.presets) for name, solver in closed_forms().items() if name != FIRST]
    assert declared["preset"]["options"] == list(
        dict.fromkeys([*PRESETS, *(name for some in presets for name in some)])
    )
    assert declared["preset"]["scapre_presets"] == {
        name: list(solver.presets) for name, solver in closed_forms().items()
    }
    assert (declared["method"]["default"], declared["method"]["options"]) == ("auto", list(closed_forms()))
    for name in NUMERIC:
        having = {
            method for method, solver in closed_forms().items() if name in {one.name for one in settings_of(solver)}
        }
        assert set(declared[name]["scapre_methods"]) == having
    assert not declared["seed"]["control_after_generate"]  # else every run would solve again
    assert dict(inputs_of(ApplyEdit))["strength"][1]["default"] == 1.0
    assert inputs_of(ConceptList)["source"][1]["options"][:3] == [
        "bundled: explicit", "bundled: imagenette", "bundled: painters",
    ]  # fmt: skip


def test_every_setting_has_an_input_and_every_numeric_input_a_setting() -> None:
    assert set(NUMERIC) == {setting.name for solver in closed_forms().values() for setting in settings_of(solver)}


# --- Erase Concepts ---


def test_erasing_gives_a_patched_clone_an_edit_and_a_report(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    before, stored = answer(model), snapshot(model)
    names = "# my list\nVincent van Gogh\ncat -> dog\n"
    edited, edit, report = run(
        EraseConcepts, model=model, clip=clip, concepts=names, anchor="art", preserve="tulip", preset="styles"
    )
    assert edit.concepts == (Concept("Vincent van Gogh", "art"), Concept("cat", "dog"))
    assert edit.preserve == ("tulip",)
    assert edit.settings == PRESETS["styles"].settings
    assert set(edited.patches) == set(edit.shapes) == set(projections(model))
    assert (answer(edited) - before).abs().max() > 0.01
    assert torch.equal(answer(model), before)
    assert same(snapshot(model), stored)
    assert model.patches == {}
    for said in ("Vincent van Gogh", "cat", "dog", "tulip", "art", "SD1.x", "14 matrices", "styles", "pictures"):
        assert said in report


def test_same_inputs_give_the_same_bits(clip: comfy.sd.CLIP) -> None:
    results = [
        run(EraseConcepts, model=unet(), clip=encoder, concepts="cat\ndog\nred ship", preset="confusable-many", seed=7)
        for encoder in (clip, models.text_encoder())
    ]
    first, second = (result[1] for result in results)
    assert same(tensors(first), tensors(second))
    assert first.fingerprint == second.fingerprint
    assert torch.equal(*(answer(result[0]) for result in results))


def test_a_long_factorisation_gives_the_same_bits_from_its_thread(
    clip: comfy.sd.CLIP, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run(EraseConcepts, model=unet(), clip=clip, concepts="cat\ndog", preset="objects-many")
    monkeypatch.setattr(linalg, "_PATIENCE", 1)  # as if the text states were wide; the thread is not in inference mode
    threaded = run(EraseConcepts, model=unet(), clip=clip, concepts="cat\ndog", preset="objects-many")
    assert same(tensors(threaded[1]), tensors(usual[1]))
    assert torch.equal(answer(threaded[0]), answer(usual[0]))


def test_the_seed_draws_the_noise(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    edits = [run(EraseConcepts, model=model, clip=clip, concepts="cat", seed=seed)[1] for seed in (0, 1, 2**63 - 1)]
    retention = [torch.cat([rows["retention"] for rows in edit.payload.matrices.values()]) for edit in edits]
    assert not torch.equal(retention[0], retention[1])
    assert not torch.equal(retention[1], retention[2])
    assert [edit.seed for edit in edits] == [0, 1, 2**63 - 1]


def test_strength_zero_gives_the_very_model(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    edited, edit, report = run(EraseConcepts, model=model, clip=clip, concepts="cat", strength=0.0)
    assert edited is model
    assert len(edit.shapes) == 14
    assert "strength 0" in report


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.7])
def test_apply_edit_at_a_strength_is_erase_concepts_at_it(clip: comfy.sd.CLIP, strength: float) -> None:
    model = unet()
    inputs = {"model": model, "clip": clip, "concepts": "cat\nVincent van Gogh -> art", "preset": "objects-many"}
    direct = run(EraseConcepts, **inputs, strength=strength)[0]
    edit = run(EraseConcepts, **inputs)[1]
    (applied,) = run(ApplyEdit, model=model, edit=edit, strength=strength)
    assert torch.equal(answer(applied), answer(direct))
    with models.loaded(applied) as network:
        found = {name: models.projection(network, name) for name in edit.shapes}
    with models.loaded(direct) as network:
        assert all(torch.equal(models.projection(network, name), weight) for name, weight in found.items())


def test_apply_edit_without_strength_applies_it_whole(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    edited, edit, _ = run(EraseConcepts, model=model, clip=clip, concepts="cat")
    assert torch.equal(answer(run(ApplyEdit, model=model, edit=edit)[0]), answer(edited))
    assert run(ApplyEdit, model=model, edit=edit, strength=0.0)[0] is model


def test_templates_erase_in_every_wording(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    _, edit, report = run(EraseConcepts, model=model, clip=clip, concepts="Dali", anchor="art", templates="styles")
    assert edit.concepts == (Concept("Dali", "art"),)
    assert len(edit.report.remaining) == 4
    assert "painting by Dali" in report
    assert "painting by art" in report


def test_the_cpu_can_be_chosen(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    chosen = run(EraseConcepts, model=model, clip=clip, concepts="cat", device="cpu")[1]
    usual = run(EraseConcepts, model=model, clip=clip, concepts="cat")[1]
    assert {value.device.type for value in tensors(chosen).values()} == {"cpu"}
    assert same(tensors(chosen), tensors(usual))


def test_a_prompt_like_name_is_erased_as_text(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    weighted, plain = (
        run(EraseConcepts, model=model, clip=clip, concepts=name)[1] for name in ("(cat:1.9)", "( cat : 1.9 )")
    )
    assert same(tensors(weighted), tensors(plain))


# --- settings ---


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_used_as_released(model: ModelPatcher, clip: comfy.sd.CLIP, preset: str) -> None:
    untouched = {name: declared[1]["default"] for name, declared in inputs_of(EraseConcepts).items() if name in NUMERIC}
    for numerics in ({}, untouched):
        edited, edit, report = run(EraseConcepts, model=model, clip=clip, concepts="cat", preset=preset, **numerics)
        assert edit.settings == PRESETS[preset].settings
        assert preset in report
    assert answer(edited).isfinite().all()


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("variant", "scale", "scale"), ("informax", "off", False), ("residual", "on", True), ("spectral", "on", True),
        ("row_valve", "on", True), ("technique", "tensor", "tensor"), ("ridge", 0.25, 0.25), ("erase_scale", 0.0, 0.0),
        ("gate_power", 4.5, 4.5), ("gate_temperature", 0.3, 0.3), ("noise", 0.0, 0.0), ("alpha_min", 0.0, 0.0),
        ("spectral_temperature", 2.5, 2.5), ("spectral_power", 3.0, 3.0), ("samples", 7, 7), ("bins", 9, 9),
        ("bures_steps", 0, 0),
    ],
)  # fmt: skip
def test_a_number_that_is_set_replaces_the_presets(
    model: ModelPatcher, clip: comfy.sd.CLIP, name: str, value: Any, meant: Any
) -> None:
    edited, edit, _ = run(EraseConcepts, model=model, clip=clip, concepts="cat\ndog", **{name: value})
    assert edit.settings == dataclasses.replace(PRESETS["objects-few"].settings, **{name: meant})
    assert getattr(PRESETS["objects-few"].settings, name) != meant
    assert answer(edited).isfinite().all()


def test_every_input_of_the_method_reaches_the_edit(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    edit = run(EraseConcepts, model=model, clip=clip, concepts="cat\ndog", **SCALE, bures_steps=3, ridge=2.0)[1]
    assert edit.settings == dataclasses.replace(
        PRESETS["objects-few"].settings, variant="scale", spectral=True, row_valve=True, technique="tensor",
        informax=False, bures_steps=3, ridge=2.0,
    )  # fmt: skip


# --- mistakes ---


LONG = " ".join("abcdefghijklmnopqrstuvwxyz" * 3)  # 78 words of a letter, 155 characters
MISTAKES = {
    "empty": ({"concepts": ""}, "concepts: the list is empty"),
    "comments": ({"concepts": "# nothing\n\n  # here\n"}, "concepts: the list is empty"),
    "100,000 lines": (
        {"concepts": "\n".join(f"name {index}" for index in range(100_000))},
        r"concepts: 100,000 names .*Split the list",
    ),
    "long line": ({"concepts": "cat\n" + "a" * 10_000}, r'concepts: line 2: "a+…" \(10,000 characters\)'),
    "punctuation": ({"concepts": "cat\n?!...,"}, r'concepts: line 2: "\?!\.\.\.,"'),
    "own anchor": ({"concepts": "dog\ncat -> Cat"}, r'concepts: line 2: "cat" is its own anchor'),
    "equals anchor": ({"concepts": "Art", "anchor": "art"}, r'concepts: line 1: "Art" is its own anchor'),
    "two anchors": ({"concepts": "cat -> dog\nCAT -> bird"}, r"concepts: lines 1 and 2 .*different anchors"),
    "erased and preserved": (
        {"concepts": "cat\ndog", "preserve": "bird\nDog"}, r'preserve: line 2, "Dog", is also in concepts',
    ),
    "long anchor": ({"concepts": "cat", "anchor": "a" * 501}, r'anchor: "a+…" \(501 characters\)'),
    "arrow in preserve": ({"concepts": "cat", "preserve": "a -> b"}, "preserve: line 1 has an arrow"),
    "too many tokens": ({"concepts": f"cat\n{LONG}"}, r'concepts: "a b c .*75 tokens'),
    "too many tokens in a template": (
        {"concepts": "cat " * 74, "templates": "styles"}, r'concepts: "painting by cat .*75 tokens.*template',
    ),
    "ridge": ({"concepts": "cat", "ridge": 0.0}, "ridge: 0.0 is outside"),
    "samples": ({"concepts": "cat", "samples": 1}, "samples: 1 is outside 2 to 1000"),
    "preset": ({"concepts": "cat", "preset": "best"}, r'preset: "best" is unknown. Choose one of objects-few'),
    "clip": ({"concepts": "cat", "clip": None}, "clip: it is missing"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_words_that_name_the_input(model: ModelPatcher, clip: comfy.sd.CLIP, mistake: str) -> None:
    inputs, message = MISTAKES[mistake]
    before = snapshot(model)
    with pytest.raises(ScaPreError, match=message) as raised:
        run(EraseConcepts, **{"model": model, "clip": clip} | inputs)
    assert len(str(raised.value)) < 400
    assert re.search(r"\.$", str(raised.value))
    assert model.patches == {}
    assert same(snapshot(model), before)


@pytest.mark.parametrize("name", ["anchor", "preserve"])
def test_a_text_of_another_input_with_too_many_tokens_names_that_input(
    model: ModelPatcher, clip: comfy.sd.CLIP, name: str
) -> None:
    with pytest.raises(ScaPreError, match=f"^{name}"):
        run(EraseConcepts, model=model, clip=clip, concepts="cat", **{name: LONG})


def test_an_edit_for_another_model_is_refused_by_apply_edit(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    edit: Edit = run(EraseConcepts, model=model, clip=clip, concepts="cat")[1]
    other = unet("sdxl")
    with pytest.raises(ScaPreError, match=r"edit: it was made for SD1\.x models .*SDXL"):
        run(ApplyEdit, model=other, edit=edit)
    assert other.patches == {}


def test_a_repeated_name_counts_once_and_the_report_says_so(model: ModelPatcher, clip: comfy.sd.CLIP) -> None:
    once = run(EraseConcepts, model=model, clip=clip, concepts="cat\ndog")[1]
    _, twice, report = run(EraseConcepts, model=model, clip=clip, concepts="cat\ndog\n  CAT ")
    assert same(tensors(once), tensors(twice))
    assert re.search(r'line 3: "CAT" is already in line 1', report)


_NO_MODELS = dict.fromkeys(("original", "edited", "clip"))


@pytest.mark.parametrize(
    ("node", "given", "name", "value"),
    [
        (EraseNeurons, {"model": None, "clip": None, "concepts": "cat"}, "rounds", 0),
        (Unlearn, {"model": None, "clip": None, "concepts": "cat"}, "preview_every", -1),
        *((Probe, {**_NO_MODELS, "names": "cat"}, *bad) for bad in (("steps", 1), ("seeds", 2.5), ("size", "512"))),
        (ExportEdit, {"model": None, "edit": None, "format": "lora"}, "rank", 4.0),
        (EditMap, {"edit": None}, "width", 1),
        (BeforeAfterGrid, {"before": None, "after": None}, "columns", 0),
        *(
            (BeforeAfter, {**_NO_MODELS, "vae": None, "prompts": "cat"}, *bad)
            for bad in (("steps", 0), ("width", None), ("seed", 2**64))
        ),
    ],
)
def test_whole_numbers_that_come_by_a_link_are_checked(node: Any, given: dict[str, Any], name: str, value: Any) -> None:
    """The host checks what is typed, and hands on what is linked as it is."""
    with pytest.raises(ScaPreError, match=rf"^{name}: {value!r} is no whole number from \d+ to \d+\. Give one"):
        node.execute(**given, **{name: value})


@pytest.mark.parametrize("node", [EraseConcepts, EraseNeurons, Unlearn, MergeEdits])
@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_a_strength_that_is_no_number_is_refused_before_anything_is_read(
    node: type[io.ComfyNode], strength: float
) -> None:
    given = {"edits": {}} if node is MergeEdits else {"clip": None, "concepts": "cat"}
    with pytest.raises(ScaPreError, match=rf"^strength: {strength} is no number"):
        node.execute(model=None, **given, strength=strength)
