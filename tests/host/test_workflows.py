"""The example workflows: whole, readable, and run on a real server as the frontend would send them."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pack.benchmarks.host.base import PACK_FOLDER, PACK_ROOT
from pack.benchmarks.host.client import Graph, cached_nodes, images
from pack.benchmarks.host.server import Server
from pack.nodes import NODES

Workflow = dict[str, Any]

FILES = {file.stem: file for file in sorted((PACK_ROOT / "example_workflows").glob("*.json"))}
NOTES = {"Note", "MarkdownNote"}  # drawn by the frontend, unknown to the server
LATER = {"SaveImage": {"images"}, "PreviewAny": {"STRING"}}  # outputs that stock nodes got after ComfyUI 0.24
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
TITLE_BAR = 30
ERASED = {
    "erase-a-style": ["Vincent van Gogh"],
    "erase-a-list-of-artists": ["Vincent van Gogh", "Pablo Picasso", "Claude Monet", "Salvador Dali"],
    "erase-an-object-keep-its-neighbours": ["zebra"],
    "erase-from-sdxl": ["Vincent van Gogh"],
}
NEURONS, UNLEARN = "cut-the-neurons-of-a-style", "unlearn-a-style"
GONE, SAMPLING = "is-it-gone", "erase-in-a-part-of-the-sampling"
LIST, SHARE, SDXL = "erase-a-list-of-artists", "save-share-and-load-an-edit", "erase-from-sdxl"
LORA = "use-an-exported-lora"  # stock nodes alone
TOLD = dict.fromkeys(ERASED, ("Erase Concepts", "Run", "Before and After", "seed")) | {
    "erase-an-object-keep-its-neighbours": ("Erase Concepts", "Run", "Before and After", "preserve", "strength"),
    SHARE: ("Save Edit", "Load Edit", "Apply Edit", "Run", "Before and After", "muted"),
    LORA: ("Export Edit", "Load LoRA", "Run", "Before", "After", "seed"),
}
TOLD |= {NEURONS: ("Erase Neurons", "Erase Concepts", "Run", "Before and After", "seed", "strength")}
TOLD |= {UNLEARN: ("Unlearn Concepts", "Erase Concepts", "Run", "Cancel", "Save Edit", "Before and After", "seed")}
TOLD |= {GONE: ("Erase Concepts", "Run", "Before and After", "Probe", "attacks")}
TOLD |= {SAMPLING: ("Erase While Sampling", "Erase Concepts", "Run", "Before and After", "seed", "strength")}
PAIRED = [*ERASED, SHARE, NEURONS, UNLEARN, GONE, SAMPLING]
ERASING = (
    *("ScaPreEraseConcepts", "ScaPreEraseNeurons", "ScaPreUnlearn", "ScaPreApplyEdit", "ScaPreEraseWhileSampling"),
)
MUTED = 2
DOCS = PACK_ROOT / "web" / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))

every_workflow = pytest.mark.parametrize("name", FILES)
every_erasing_workflow = pytest.mark.parametrize("name", ERASED)
every_paired_workflow = pytest.mark.parametrize("name", PAIRED)


def load(name: str) -> Workflow:
    return json.loads(FILES[name].read_text(encoding="utf-8"))


def nodes_by_id(workflow: Workflow) -> dict[int, dict[str, Any]]:
    return {node["id"]: node for node in workflow["nodes"]}


def titled(workflow: Workflow, title: str) -> str:
    """The id of the node with this title."""
    (found,) = (node["id"] for node in workflow["nodes"] if node.get("title") == title)
    return str(found)


def of_type(workflow: Workflow, kind: str) -> list[dict[str, Any]]:
    return [node for node in workflow["nodes"] if node["type"] == kind]


def to_api(workflow: Workflow, info: Mapping[str, Any], *, muted: bool = False) -> Graph:
    """What the frontend sends for a workflow, given the server's /object_info; `muted` nodes too if they are wanted."""
    links = {link[0]: link for link in workflow["links"]}
    graph: Graph = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES or (node["mode"] == MUTED and not muted):
            continue
        inputs = widget_values(node["widgets_values"], info[node["type"]]["input"])
        for slot in node["inputs"]:
            if slot["link"] is not None:
                _, origin, origin_slot, *_ = links[slot["link"]]
                inputs[slot["name"]] = [str(origin), origin_slot]
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return graph


def widget_values(values: list[Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Names the values: widgets stand in the order of the declarations, and a seed's control stands after it."""
    rest, named = list(values), {}
    for group in ("required", "optional"):
        for name, (kind, *more) in declared.get(group, {}).items():
            if not isinstance(kind, list) and kind not in WIDGETS:
                continue
            named[name] = rest.pop(0)
            if more and more[0].get("control_after_generate"):
                assert rest.pop(0) in ("fixed", "increment", "decrement", "randomize")
    assert rest == []
    return named


def small(graph: Graph, checkpoint: str) -> Graph:
    """The same graph with the tiny checkpoint, and pictures of 64 pixels in two steps."""
    changes = {
        "CheckpointLoaderSimple": {"ckpt_name": checkpoint},
        "EmptyLatentImage": {"width": 64, "height": 64},
        "KSampler": {"steps": 2},
        "ScaPreBeforeAfter": {"width": 64, "height": 64, "steps": 2},
        "ScaPreEraseNeurons": {"size": 64, "steps": 4, "recorded": 2, "pairs": 2},
        "ScaPreProbe": {"size": 64, "steps": 4},
        "ScaPreUnlearn": {"size": 64, "steps": 4, "first": 2, "iterations": 2},
    }
    return {
        key: {**node, "inputs": node["inputs"] | changes.get(node["class_type"], {})} for key, node in graph.items()
    }


def upstream(graph: Graph, node_id: str) -> Graph:
    """A node and all it depends on."""
    found: Graph = {node_id: graph[node_id]}
    for value in graph[node_id]["inputs"].values():
        if isinstance(value, list):
            found |= upstream(graph, value[0])
    return found


def pixels(server: Server, entry: dict[str, Any], node_id: str) -> tuple[tuple[int, int], bytes]:
    (reference,) = images(entry, node_id)
    picture = Image.open(io.BytesIO(server.image(reference)))
    return picture.size, picture.convert("RGB").tobytes()


def forget(server: Server) -> None:
    """Empties the server's cache, so that what runs next is computed."""
    server.fetch("/free", {"unload_models": True, "free_memory": True})
    # The request is granted between two prompts, and the next one may already be on its way: let one pass.
    server.run(
        {
            "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 16, "height": 16, "batch_size": 1}},
            "show": {"class_type": "PreviewAny", "inputs": {"source": ["latent", 0]}},
        }
    )


@pytest.fixture(scope="module")
def info(server: Server) -> dict[str, Any]:
    """Descriptions of all nodes the server has."""
    return server.get("/object_info")


def test_there_are_workflows() -> None:
    assert len(FILES) >= 2


@every_workflow
def test_links_are_consistent(name: str) -> None:
    workflow = load(name)
    nodes = nodes_by_id(workflow)
    links = {link[0]: link for link in workflow["links"]}
    assert workflow["version"] == 0.4
    assert len(nodes) == len(workflow["nodes"])
    assert len(links) == len(workflow["links"])
    assert workflow["last_node_id"] == max(nodes)
    assert workflow["last_link_id"] == max(links)
    for key, origin, origin_slot, target, target_slot, kind in links.values():
        out, into = nodes[origin]["outputs"][origin_slot], nodes[target]["inputs"][target_slot]
        assert key in out["links"]
        assert into["link"] == key
        assert out["type"] == kind
        assert into["type"] in (kind, "*")
    used = [link for node in nodes.values() for slot in node["outputs"] for link in slot["links"] or ()]
    taken = [slot["link"] for node in nodes.values() for slot in node["inputs"] if slot["link"] is not None]
    assert sorted(used) == sorted(taken) == sorted(links)


@every_workflow
def test_nodes_do_not_overlap_and_links_lead_right_or_down(name: str) -> None:
    workflow = load(name)
    nodes = nodes_by_id(workflow)
    for left, right in itertools.combinations(nodes.values(), 2):
        apart = [
            left["pos"][axis] + left["size"][axis] + gap <= right["pos"][axis]
            or right["pos"][axis] + right["size"][axis] + gap <= left["pos"][axis]
            for axis, gap in ((0, 20), (1, TITLE_BAR + 10))
        ]
        assert any(apart), f"{left['type']} overlaps {right['type']}"
    for _, origin, _, target, _, _ in workflow["links"]:
        assert nodes[origin]["pos"][0] <= nodes[target]["pos"][0]


@every_workflow
def test_a_note_says_what_to_do(name: str) -> None:
    workflow = load(name)
    (note,) = (node for node in workflow["nodes"] if node["type"] in NOTES)
    assert note["pos"] == [min(node["pos"][axis] for node in workflow["nodes"]) for axis in (0, 1)]
    (text,) = note["widgets_values"]
    for title in TOLD[name]:
        assert title.lower() in text.lower()


@every_workflow
def test_nodes_are_known_and_shaped_as_the_server_declares_them(name: str, info: dict[str, Any]) -> None:
    for node in load(name)["nodes"]:
        assert node["mode"] == 0 or (name == SHARE and node["mode"] == MUTED)
        if node["type"] in NOTES:
            continue
        declared = info[node["type"]]
        accepted = {**declared["input"].get("required", {}), **declared["input"].get("optional", {})}
        assert {slot["name"] for slot in node["inputs"]} <= set(accepted)
        sockets = {
            key
            for key, (kind, *_) in declared["input"]["required"].items()
            if not isinstance(kind, list) and kind not in WIDGETS
        }
        assert sockets <= {slot["name"] for slot in node["inputs"] if slot["link"] is not None}
        outputs = [slot for slot in node["outputs"] if slot["name"] in declared["output_name"]]
        assert {slot["name"] for slot in node["outputs"] if slot not in outputs} <= LATER.get(node["type"], set())
        assert [slot["name"] for slot in outputs] == list(declared["output_name"])
        assert [slot["type"] for slot in outputs] == list(declared["output"])


@every_workflow
def test_our_nodes_name_this_pack_so_that_a_manager_can_offer_it(name: str) -> None:
    project = re.search(r'^name = "(.+)"', (PACK_ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert project
    packs = {
        node["type"]: node["properties"].get("cnr_id") for node in load(name)["nodes"] if node["type"] not in NOTES
    }
    assert {pack for kind, pack in packs.items() if kind.startswith("ScaPre")} <= {project[1]}
    assert {pack for kind, pack in packs.items() if not kind.startswith("ScaPre")} == {"comfy-core"}


@every_workflow
def test_it_starts_from_a_known_checkpoint_at_the_size_it_was_trained_for(name: str) -> None:
    workflow = load(name)
    (loader,) = of_type(workflow, "CheckpointLoaderSimple")
    (file,) = loader["widgets_values"]
    assert [model["name"] for model in loader["properties"]["models"]] == [file]
    assert file.startswith("sd_xl" if name == SDXL else "v1-5")
    sides = {tuple(node["widgets_values"][:2]) for node in of_type(workflow, "EmptyLatentImage")}
    sides |= {tuple(node["widgets_values"][-2:]) for node in of_type(workflow, "ScaPreBeforeAfter")}
    assert sides == {(1024, 1024) if name == SDXL else (512, 512)}


@every_paired_workflow
def test_before_is_the_model_of_the_loader_and_after_that_of_an_edit(name: str, info: dict[str, Any]) -> None:
    workflow = load(name)
    graph = to_api(workflow, info, muted=True)
    (pair,) = of_type(workflow, "ScaPreBeforeAfter")
    inputs = graph[str(pair["id"])]["inputs"]
    (loader,) = of_type(workflow, "CheckpointLoaderSimple")
    assert inputs["original"] == [str(loader["id"]), 0]
    assert graph[inputs["edited"][0]]["class_type"] in ERASING
    assert inputs["steps"] >= 20


def test_the_workflow_of_stock_nodes_compares_models_alone(info: dict[str, Any]) -> None:
    workflow = load(LORA)
    graph = to_api(workflow, info)
    before, after = (graph[titled(workflow, f"KSampler ({when})")]["inputs"] for when in ("before", "after"))
    assert {key for key in before if before[key] != after[key]} == {"model"}
    assert before["steps"] >= 20


@every_erasing_workflow
def test_widgets_hold_what_the_note_promises(name: str, info: dict[str, Any]) -> None:
    workflow = load(name)
    (erase,) = of_type(workflow, "ScaPreEraseConcepts")
    values = to_api(workflow, info)[str(erase["id"])]["inputs"]
    declared = info["ScaPreEraseConcepts"]["input"]["optional"]
    assert [values[key] for key in ("anchor", "method", "preset", "strength")] == ["", "auto", "auto", 1]
    assert bool(values["preserve"]) == (name not in ("erase-a-list-of-artists", "save-share-and-load-an-edit"))
    untouched = {key for key, (_, more) in declared.items() if values[key] == more["default"]}
    assert {"preset"} <= set(declared) - untouched <= {"preset", "preserve"}


@every_erasing_workflow
def test_a_workflow_runs_and_shows_pairs_and_a_report(
    name: str, server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    workflow = load(name)
    graph = small(to_api(workflow, info), tiny_checkpoint.name)
    (erase,), (pair,) = of_type(workflow, "ScaPreEraseConcepts"), of_type(workflow, "ScaPreBeforeAfter")
    outputs = server.run(graph)["outputs"]
    (report,) = outputs[str(erase["id"])]["scapre_report"]
    assert {concept["name"] for concept in json.loads(report)["concepts"]} >= set(ERASED[name])
    shown = outputs[str(pair["id"])]["scapre_compare"]
    assert [entry["caption"] for entry in shown] == graph[str(pair["id"])]["inputs"]["prompts"].splitlines()
    for entry in shown:
        before, after = (server.image(entry[when]) for when in ("before", "after"))
        assert {Image.open(io.BytesIO(picture)).size for picture in (before, after)} == {(64, 64)}
        assert before != after
    for node in of_type(workflow, "SaveImage"):
        assert images({"outputs": outputs}, str(node["id"]))


@pytest.mark.parametrize("name", [GONE, SAMPLING])
def test_a_workflow_of_what_is_asked_and_done_while_sampling_runs(
    name: str, server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    workflow = load(name)
    (pair,) = of_type(workflow, "ScaPreBeforeAfter")
    outputs = server.run(small(to_api(workflow, info), tiny_checkpoint.name))["outputs"]
    for entry in outputs[str(pair["id"])]["scapre_compare"][:1]:  # whose prompt has the name
        assert server.image(entry["before"]) != server.image(entry["after"])
    for probe in of_type(workflow, "ScaPreProbe"):
        assert outputs[str(probe["id"])]["images"]
        (shown,) = of_type(workflow, "PreviewAny")
        assert "## Called up by an attack" in "".join(outputs[str(shown["id"])]["text"])


def test_an_exported_lora_is_used_by_stock_nodes_alone(
    server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": tiny_checkpoint.name}}
    erase = {"model": ["model", 0], "clip": ["model", 1], "concepts": "Vincent van Gogh"}
    export = {"model": ["model", 0], "edit": ["erase", 1], "format": "lora", "filename_prefix": "loras/for workflow"}
    server.run(
        {
            "model": loader,
            "erase": {"class_type": "ScaPreEraseConcepts", "inputs": erase},
            "export": {"class_type": "ScaPreExportEdit", "inputs": export},
        }
    )
    workflow = load(LORA)
    graph = small(to_api(workflow, info), tiny_checkpoint.name)
    assert not any(node["class_type"].startswith("ScaPre") for node in graph.values())
    (lora,) = of_type(workflow, "LoraLoaderModelOnly")
    assert lora["widgets_values"] == ["scapre_00001_.safetensors", 1]  # what Export Edit writes first
    graph[str(lora["id"])]["inputs"]["lora_name"] = "for workflow_00001_.safetensors"
    entry = server.run(graph)
    before, after = (pixels(server, entry, titled(workflow, title)) for title in ("Before", "After"))
    assert before[0] == after[0] == (64, 64)
    assert before[1] != after[1]


def pairs(server: Server, entry: dict[str, Any], node: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Files that Before and After shows."""
    shown = entry["outputs"][str(node["id"])]["scapre_compare"]
    return [(server.image(pair["before"]), server.image(pair["after"])) for pair in shown]


def pictures(server: Server, entry: dict[str, Any], node: dict[str, Any]) -> list[list[bytes]]:
    """Their pixels; the files have the prompt in them too."""
    found = pairs(server, entry, node)
    return [[Image.open(io.BytesIO(file)).convert("RGB").tobytes() for file in pair] for pair in found]


def test_what_one_half_of_a_workflow_saves_the_muted_half_loads(
    server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    workflow = load(SHARE)
    (save,), (opened,), (applied,), (pair,), (erase,) = (
        of_type(workflow, f"ScaPre{kind}")
        for kind in ("SaveEdit", "LoadEdit", "ApplyEdit", "BeforeAfter", "EraseConcepts")
    )
    first = small(to_api(workflow, info), tiny_checkpoint.name)
    assert {str(node["id"]) for node in (opened, applied, pair)}.isdisjoint(first)
    entry = server.run(first)
    (saved,) = entry["outputs"][str(save["id"])]["edits"]
    assert saved["filename"].startswith("edit_")
    whole = small(to_api(workflow, info, muted=True), tiny_checkpoint.name)
    file = whole[str(opened["id"])]["inputs"]["file"]
    assert file == "edit_00001_.safetensors [output]"  # what Save Edit writes first
    whole[str(opened["id"])]["inputs"]["file"] = f"{saved['filename']} [output]"
    forget(server)
    loaded = pictures(server, server.run(upstream(whole, str(pair["id"]))), pair)
    whole[str(applied["id"])]["inputs"]["edit"] = [str(erase["id"]), 1]
    solved = pictures(server, server.run(upstream(whole, str(pair["id"]))), pair)
    assert loaded == solved
    assert all(before != after for before, after in loaded)


def test_turning_the_strength_of_apply_edit_solves_nothing_again(
    server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    workflow = load(LIST)
    graph = small(to_api(workflow, info), tiny_checkpoint.name)
    (erase,), (apply,) = of_type(workflow, "ScaPreEraseConcepts"), of_type(workflow, "ScaPreApplyEdit")
    (pair,) = of_type(workflow, "ScaPreBeforeAfter")
    whole = pictures(server, server.run(graph), pair)
    graph[str(apply["id"])]["inputs"]["strength"] = 0.5
    entry = server.run(graph)
    assert str(erase["id"]) in cached_nodes(entry)
    assert str(apply["id"]) not in cached_nodes(entry)
    assert pictures(server, entry, pair) != whole
    graph[str(apply["id"])]["inputs"]["strength"] = 0.0
    assert all(before == after for before, after in pictures(server, server.run(graph), pair))


def test_the_server_offers_the_workflows_as_templates(server: Server) -> None:
    assert sorted(server.get("/api/workflow_templates")[PACK_FOLDER]) == sorted(FILES)


@every_workflow
def test_a_template_is_served_as_it_is(name: str, server: Server) -> None:
    assert server.get(f"/api/workflow_templates/{PACK_FOLDER}/{name}.json") == load(name)
    thumbnail = FILES[name].with_suffix(".jpg")
    if thumbnail.exists():
        assert server.fetch(f"/api/workflow_templates/{PACK_FOLDER}/{name}.jpg") == thumbnail.read_bytes()


@pytest.mark.parametrize("node", [node.GET_SCHEMA().node_id for node in NODES])
def test_every_node_has_a_help_page(node: str) -> None:
    assert f"{node}.md" in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_help_page_is_served(page: str, server: Server, info: dict[str, Any]) -> None:
    assert server.fetch(f"/extensions/{PACK_FOLDER}/docs/{page}") == (DOCS / page).read_bytes()
    assert page.split("/")[0].removesuffix(".md") in info
