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
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
TITLE_BAR = 30
ERASED = {
    "erase-a-style": ["Vincent van Gogh"],
    "erase-a-list-before-after": ["Vincent van Gogh", "Pablo Picasso", "Claude Monet", "Salvador Dali"],
}
LORA = "use-an-exported-lora"  # stock nodes alone
TOLD = dict.fromkeys(ERASED, ("Erase Concepts", "Run", "Before", "After", "seed", "report")) | {
    LORA: ("Export Edit", "Load LoRA", "Run", "Before", "After", "seed"),
    "load-an-edit": ("Load Edit", "Apply Edit", "Save Edit", "Run", "Before", "After", "seed", "report"),
}
DOCS = PACK_ROOT / "web" / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))

every_workflow = pytest.mark.parametrize("name", FILES)
every_erasing_workflow = pytest.mark.parametrize("name", ERASED)


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


def to_api(workflow: Workflow, info: Mapping[str, Any]) -> Graph:
    """What the frontend sends for a workflow, given the server's /object_info."""
    links = {link[0]: link for link in workflow["links"]}
    graph: Graph = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
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
        assert node["mode"] == 0
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
        assert [slot["name"] for slot in node["outputs"]] == list(declared["output_name"])
        assert [slot["type"] for slot in node["outputs"]] == list(declared["output"])


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
def test_before_and_after_differ_in_the_model_alone(name: str, info: dict[str, Any]) -> None:
    workflow = load(name)
    graph = to_api(workflow, info)
    before, after = (graph[titled(workflow, f"KSampler ({when})")]["inputs"] for when in ("before", "after"))
    assert {key for key in before if before[key] != after[key]} == {"model"}
    assert before["steps"] >= 20
    (latent,) = of_type(workflow, "EmptyLatentImage")
    assert latent["widgets_values"][:2] == [512, 512]
    (loader,) = of_type(workflow, "CheckpointLoaderSimple")
    assert loader["widgets_values"] == [model["name"] for model in loader["properties"]["models"]]


@every_erasing_workflow
def test_widgets_hold_what_the_note_promises(name: str, info: dict[str, Any]) -> None:
    workflow = load(name)
    (erase,) = of_type(workflow, "ScaPreEraseConcepts")
    values = to_api(workflow, info)[str(erase["id"])]["inputs"]
    declared = info["ScaPreEraseConcepts"]["input"]["optional"]
    assert (values["anchor"], values["preset"], values["strength"]) == ("art", "styles", 1)
    untouched = {key for key, (_, more) in declared.items() if values[key] == more["default"]}
    assert {"anchor", "preset"} <= set(declared) - untouched <= {"anchor", "preset", "preserve"}


@every_erasing_workflow
def test_a_workflow_runs_and_its_before_needs_none_of_our_nodes(
    name: str, server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    workflow = load(name)
    graph = small(to_api(workflow, info), tiny_checkpoint.name)
    before, after = titled(workflow, "Before"), titled(workflow, "After")
    entry = server.run(graph)
    first, second = pixels(server, entry, before), pixels(server, entry, after)
    assert first[0] == second[0] == (64, 64)
    assert first[1] != second[1]
    report = "".join(entry["outputs"][titled(workflow, "Report (Preview as Text)")]["text"])
    assert all(concept in report for concept in ERASED[name])
    stock = upstream(graph, before)
    assert not any(node["class_type"].startswith("ScaPre") for node in stock.values())
    forget(server)
    alone = server.run(stock)
    assert not cached_nodes(alone)
    assert pixels(server, alone, before) == first


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


def test_the_workflow_that_loads_an_edit_gives_the_picture_of_solving_it(
    server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    workflow = load("load-an-edit")
    graph = small(to_api(workflow, info), tiny_checkpoint.name)
    before, after = titled(workflow, "Before"), titled(workflow, "After")
    (opened,), (applied,) = (
        [str(n["id"]) for n in of_type(workflow, f"ScaPre{kind}Edit")] for kind in ("Load", "Apply")
    )
    model = graph[applied]["inputs"]["model"]
    erase = {"model": model, "clip": [model[0], 1], "concepts": "Claude Monet -> art"}
    save = {"edit": ["erase", 1], "filename_prefix": "scapre/for workflow"}
    solving = upstream(graph, after) | {
        applied: {"class_type": "ScaPreApplyEdit", "inputs": {"model": model, "edit": ["erase", 1]}},
        "erase": {"class_type": "ScaPreEraseConcepts", "inputs": erase},
        "save": {"class_type": "ScaPreSaveEdit", "inputs": save},
    }
    solved = server.run({key: node for key, node in solving.items() if key != opened})
    assert graph[opened]["inputs"]["file"] == "edit_00001_.safetensors [output]"  # what Save Edit writes first
    graph[opened]["inputs"]["file"] = "for workflow_00001_.safetensors [output]"
    forget(server)
    loaded = server.run(graph)
    assert pixels(server, loaded, after) == pixels(server, solved, after) != pixels(server, loaded, before)
    assert "Claude Monet" in "".join(loaded["outputs"][titled(workflow, "Report (Preview as Text)")]["text"])


def test_turning_the_strength_of_apply_edit_solves_nothing_again(
    server: Server, info: dict[str, Any], tiny_checkpoint: Path
) -> None:
    workflow = load("erase-a-list-before-after")
    graph = small(to_api(workflow, info), tiny_checkpoint.name)
    (erase,), (apply,) = of_type(workflow, "ScaPreEraseConcepts"), of_type(workflow, "ScaPreApplyEdit")
    before, after = titled(workflow, "Before"), titled(workflow, "After")
    whole = pixels(server, server.run(graph), after)
    graph[str(apply["id"])]["inputs"]["strength"] = 0.5
    entry = server.run(graph)
    assert str(erase["id"]) in cached_nodes(entry)
    assert str(apply["id"]) not in cached_nodes(entry)
    assert pixels(server, entry, after) != whole
    graph[str(apply["id"])]["inputs"]["strength"] = 0.0
    entry = server.run(graph)
    assert pixels(server, entry, after) == pixels(server, entry, before)


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
