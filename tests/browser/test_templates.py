"""The example workflows, opened from the frontend's template browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pack.benchmarks.graphs import ERASE_NODE
from pack.benchmarks.host.base import PACK_FOLDER, PACK_ROOT
from pack.benchmarks.host.client import Graph
from pack.benchmarks.host.page import ComfyPage
from pack.benchmarks.host.server import Server
from pack.tests.host.test_workflows import to_api

FILES = {file.stem: file for file in sorted((PACK_ROOT / "example_workflows").glob("*.json"))}
every_workflow = pytest.mark.parametrize("name", FILES)
both_renderers = pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)


@pytest.fixture(scope="module")
def written(server: Server, checkpoint: str) -> Iterator[None]:
    """What Save Edit and Export Edit write first; two of the workflows start from it."""
    graph: Graph = {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "erase": {
            "class_type": ERASE_NODE,
            "inputs": {"model": ["model", 0], "clip": ["model", 1], "concepts": "Claude Monet -> art"},
        },
        "save": {"class_type": "ScaPreSaveEdit", "inputs": {"edit": ["erase", 1], "filename_prefix": "scapre/edit"}},
        "export": {
            "class_type": "ScaPreExportEdit",
            "inputs": {
                "model": ["model", 0],
                "edit": ["erase", 1],
                "format": "lora",
                "filename_prefix": "loras/scapre",
            },
        },
    }
    before = saved(server)
    server.run(graph)
    yield
    for file in saved(server) - before:
        file.unlink()


def saved(server: Server) -> set[Path]:
    """Every file of weights in the output folder."""
    return set((server.base / "output").rglob("*.safetensors"))


def open_template(comfy: ComfyPage, name: str) -> None:
    """Chooses a workflow in the template browser."""
    comfy.page.get_by_role("button", name="Templates").click()
    dialog = comfy.page.get_by_role("dialog")
    dialog.get_by_text(PACK_FOLDER, exact=True).first.click()
    card = dialog.get_by_test_id(f"template-workflow-{name}")
    card.scroll_into_view_if_needed()  # pictures below the fold are not loaded
    picture = card.get_by_role("img").first
    expect(picture).to_be_visible()
    comfy.page.wait_for_function("(image) => image.complete && image.naturalWidth", arg=picture.element_handle())
    comfy.screenshot("browser")
    card.click()
    expect(dialog).to_have_count(0)
    opened = "(name) => app.extensionManager.workflow.activeWorkflow.path.endsWith(`/${name}.json`)"
    comfy.page.wait_for_function(opened, arg=name)


@both_renderers
@every_workflow
def test_a_template_opens_with_nothing_missing_but_the_checkpoint(
    name: str, comfy: ComfyPage, written: None, renderer: str
) -> None:
    open_template(comfy, name)
    workflow = json.loads(FILES[name].read_text(encoding="utf-8"))
    assert {node["id"]: node["type"] for node in comfy.nodes()} == {n["id"]: n["type"] for n in workflow["nodes"]}
    sent = {key: {**node, "_meta": None} for key, node in comfy.prompt().items()}
    assert sent == {
        key: {**node, "_meta": None} for key, node in to_api(workflow, comfy.server.get("/object_info")).items()
    }
    comfy.page.get_by_role("button", name="View details").click()
    panel = comfy.page.get_by_test_id("properties-panel")
    expect(panel.locator("[data-testid^=error-group-]:not([data-testid$=message])")).to_have_count(1)
    expect(panel.get_by_test_id("error-group-missing-model")).to_be_visible()
    (model,) = (model for node in workflow["nodes"] for model in node.get("properties", {}).get("models", ()))
    expect(panel.get_by_test_id("missing-model-locate")).to_have_count(1)
    expect(panel.get_by_test_id("missing-model-importable-rows")).to_contain_text(model["name"])
    comfy.screenshot("opened")
