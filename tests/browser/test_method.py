"""The method of Erase Concepts: what is shown with each, and what older workflows get."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pack.benchmarks.host.page import ComfyPage
from pack.scapre.methods import METHODS, closed_forms
from pack.scapre.methods.settings import declared

both_renderers = pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)

NODE = "ScaPreEraseConcepts"
ALWAYS = {"concepts", "anchor", "preserve", "strength", "method"}
_SHOWN = """(id) => app.graph.getNodeById(id).widgets
  .filter((one) => one.type !== "button" && !one.options.hidden && !one.options.advanced).map(({ name }) => name)"""
_OFFERED = """(id) => app.graph.getNodeById(id).widgets
  .filter((one) => one.type !== "button" && !one.options.hidden).map(({ name }) => name)"""
_CHOOSE = """([id, value]) => {
  const widget = app.graph.getNodeById(id).widgets.find(({ name }) => name === "method");
  widget.value = value;
  widget.callback?.(value);
}"""
_VALUE = "([id, name]) => app.graph.getNodeById(id).widgets.find((one) => one.name === name).value"


def value(comfy: ComfyPage, node: int, name: str) -> Any:
    return comfy.page.evaluate(_VALUE, [node, name])


@both_renderers
def test_a_new_node_is_simple_and_each_method_shows_its_own(comfy: ComfyPage, renderer: str) -> None:
    erase = comfy.add(NODE, (300, 0), concepts="Arlo Vane")
    comfy.settle()
    assert value(comfy, erase, "method") == "auto"
    assert set(comfy.page.evaluate(_SHOWN, erase)) == ALWAYS
    comfy.screenshot("auto")
    for name, solver in closed_forms().items():
        comfy.page.evaluate(_CHOOSE, [erase, name])
        comfy.settle()
        settings = {setting.name for setting in declared(solver.settings)}
        shown = set(comfy.page.evaluate(_OFFERED, erase))
        others = {setting.name for other in closed_forms().values() for setting in declared(other.settings)} - settings
        assert settings | ALWAYS <= shown and not shown & others
        assert ("preset" in shown) == (len(solver.presets) > 1)
        assert value(comfy, erase, "preset") in solver.presets
        if renderer == "vue":
            drawn = comfy.page.locator(f'[data-node-id="{erase}"]').inner_text()
            assert ("preset" in drawn) == (len(solver.presets) > 1)
    comfy.page.evaluate(_CHOOSE, [erase, "scapre"])
    comfy.settle()
    comfy.screenshot("scapre")


@both_renderers
def test_a_workflow_from_before_keeps_its_method_and_its_values(comfy: ComfyPage, renderer: str) -> None:
    erase = comfy.add(NODE, (300, 0), concepts="Arlo Vane")
    comfy.page.evaluate(_CHOOSE, [erase, "scapre"])
    comfy.settle()
    workflow = json.loads(comfy.page.evaluate("() => JSON.stringify(app.graph.serialize())"))
    (node,) = [node for node in workflow["nodes"] if node["type"] == NODE]
    place = 8 + len(declared(METHODS["scapre"].settings))
    assert node["widgets_values"][place] == "scapre"
    node["widgets_values"] = node["widgets_values"][:place]  # as 0.1 wrote it
    node["widgets_values"][3:6] = ["styles", 1.5, 7]
    comfy.page.evaluate("(workflow) => app.loadGraphData(workflow)", workflow)
    comfy.settle()
    (loaded,) = [node["id"] for node in comfy.nodes() if node["type"] == NODE]
    found = {name: value(comfy, loaded, name) for name in ("method", "preset", "strength", "seed", "concepts")}
    assert found == {"method": "scapre", "preset": "styles", "strength": 1.5, "seed": 7, "concepts": "Arlo Vane"}
    sent = comfy.prompt()[str(loaded)]["inputs"]
    assert (sent["method"], sent["preset"], sent["seed"]) == ("scapre", "styles", 7)
    again = json.loads(comfy.page.evaluate("() => JSON.stringify(app.graph.serialize())"))
    comfy.page.evaluate("(workflow) => app.loadGraphData(workflow)", again)
    comfy.settle()
    (loaded,) = [node["id"] for node in comfy.nodes() if node["type"] == NODE]
    assert value(comfy, loaded, "method") == "scapre"
