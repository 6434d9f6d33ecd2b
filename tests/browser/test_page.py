"""The pack in the page, as a person meets it: search, connect, run, watch, cancel, reload, switch things off."""

from __future__ import annotations

import itertools
import json
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from pack.benchmarks.graphs import ERASE_NODE
from pack.benchmarks.host.base import PACK_ROOT
from pack.benchmarks.host.client import PromptInterrupted
from pack.benchmarks.host.page import ComfyPage
from pack.nodes import NODES
from pack.tests.browser.legibility import audit

MANY = "\n".join(f"thing number {index}" for index in range(3000))
FEATURES = sorted(
    {
        name
        for script in (PACK_ROOT / "web").rglob("*.mjs")
        for name in re.findall(r'"(ScaPre\.\w+)"', script.read_text(encoding="utf-8"))
    }
)
"""The settings that switch a feature off."""
both_renderers = pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)
both_themes = pytest.mark.parametrize("theme", ["dark", "light"], indirect=True)
_WATCH_PROGRESS = """(id) => {
    window.progress = [];
    const look = () => {
        const bar = document.querySelector(`[data-node-id="${id}"] .h-2:is(.bg-primary-500, .bg-primary)`);
        window.progress.push([document.title, app.graph.getNodeById(id).progress ?? null, Boolean(bar)]);
        window.watching = requestAnimationFrame(look);
    };
    look();
}"""
_PLACE = """([id, kind, slot]) => {
    const node = app.graph.getNodeById(id);
    const at = kind === "input" ? node.getInputPos(node.findInputSlot(slot)) : node.getOutputPos(slot);
    const [x, y] = app.canvas.convertOffsetToCanvas(at);
    const { left, top } = app.canvas.canvas.getBoundingClientRect();
    return [left + x, top + y];
}"""


def drag_link(comfy: ComfyPage, origin: int, output: int, target: int, name: str) -> None:
    """Pulls a link from an output to an input with the mouse."""
    start = comfy.page.evaluate(_PLACE, [origin, "output", output])
    end = comfy.page.evaluate(_PLACE, [target, "input", name])
    comfy.page.mouse.move(*start)
    comfy.page.mouse.down()
    comfy.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    comfy.page.mouse.move(*end, steps=4)
    comfy.page.mouse.up()


def saved(comfy: ComfyPage) -> list[dict[str, Any]]:
    """What a saved workflow has of every node; a list of no values, which a node may have or lack, is left out."""
    return [{key: value for key, value in node.items() if value != []} for node in comfy.nodes()]


def erasing(comfy: ComfyPage, checkpoint: str, concepts: str = "Arlo Vane") -> tuple[int, int]:
    """Puts a loader, Erase Concepts and Preview as Text into the graph; returns the ids of the last two."""
    loader = comfy.add("CheckpointLoaderSimple", (0, 0), ckpt_name=checkpoint)
    erase = comfy.add(ERASE_NODE, (350, 0), concepts=concepts)
    show = comfy.add("PreviewAny", (850, 0))
    comfy.connect(loader, 0, erase, "model")
    comfy.connect(loader, 1, erase, "clip")
    comfy.connect(erase, 2, show, "source")
    return erase, show


def sampling(comfy: ComfyPage, checkpoint: str, steps: int) -> int:
    """Adds a stock text-to-image graph after Erase Concepts; returns the sampler's id."""
    erase, _ = erasing(comfy, checkpoint)
    loader = comfy.nodes()[0]["id"]
    prompt = comfy.add("CLIPTextEncode", (850, 300), text="a red star in the style of Arlo Vane")
    latent = comfy.add("EmptyLatentImage", (850, 550), width=64, height=64)
    sampler = comfy.add("KSampler", (1300, 0), steps=steps)
    decode = comfy.add("VAEDecode", (1650, 0))
    save = comfy.add("PreviewImage", (1650, 150))
    comfy.connect(loader, 1, prompt, "clip")
    comfy.connect(erase, 0, sampler, "model")
    for name in ("positive", "negative"):
        comfy.connect(prompt, 0, sampler, name)
    comfy.connect(latent, 0, sampler, "latent_image")
    comfy.connect(sampler, 0, decode, "samples")
    comfy.connect(loader, 2, decode, "vae")
    comfy.connect(decode, 0, save, "images")
    return sampler


@both_renderers
def test_a_search_in_the_users_words_finds_and_adds_the_node(comfy: ComfyPage) -> None:
    found = comfy.search("remove artist")
    expect(found.first).to_contain_text("Erase Concepts")
    comfy.screenshot("found")
    comfy.page.keyboard.press("Enter")
    comfy.page.mouse.move(600, 400)
    comfy.page.mouse.click(600, 400)  # the new node hangs on the pointer until then
    expect(comfy.page.get_by_role("search")).to_have_count(0)
    assert [node["type"] for node in comfy.nodes()] == [ERASE_NODE]
    comfy.settle()
    comfy.screenshot("added")


def test_every_node_is_found_by_its_name(comfy: ComfyPage) -> None:
    for node in NODES:
        name = node.define_schema().display_name
        expect(comfy.search(name).first).to_contain_text(name)


@both_renderers
def test_links_run_progress_and_report(comfy: ComfyPage, checkpoint: str, renderer: str) -> None:
    loader = comfy.add("CheckpointLoaderSimple", (0, 0), ckpt_name=checkpoint)
    concepts = ["Arlo Vane", f"star -> {renderer}", *MANY.splitlines()[:4]]
    erase = comfy.add(ERASE_NODE, (450, 0), concepts="\n".join(concepts))
    show = comfy.add("PreviewAny", (950, 0))
    comfy.look_at()
    for origin, output, target, name in ((loader, 0, erase, "model"), (loader, 1, erase, "clip")):
        drag_link(comfy, origin, output, target, name)
    drag_link(comfy, erase, 2, show, "source")
    sent = comfy.prompt()
    assert sent[str(erase)]["inputs"]["model"] == [str(loader), 0]
    assert sent[str(erase)]["inputs"]["clip"] == [str(loader), 1]
    assert sent[str(show)]["inputs"]["source"] == [str(erase), 2]
    comfy.page.locator(".scapre-concepts .row .name").first.fill("Noor Rahman")
    comfy.page.evaluate(_WATCH_PROGRESS, erase)
    comfy.page.get_by_test_id("queue-button").click()
    comfy.page.wait_for_function("() => window.seen.some(([kind]) => kind === 'execution_success')", timeout=180_000)
    comfy.settle()
    titles, shares, bars = zip(*comfy.page.evaluate("() => window.progress"), strict=True)
    percent = [int(found[1]) for title in titles if (found := re.search(rf"\[(\d+)%\] {ERASE_NODE}", title))]
    assert any(0 < one < 100 for one in percent)
    assert any(bars) if renderer == "vue" else any(share is not None and 0 < share < 1 for share in shares)
    text = comfy.page.evaluate("(id) => app.graph.getNodeById(id).widgets.map((one) => String(one.value))", show)
    assert "Noor Rahman" in "".join(text) and "Arlo Vane" not in "".join(text)
    expect(comfy.page.locator(".scapre-report")).to_contain_text("Noor Rahman")
    comfy.look_at()
    comfy.screenshot("report")


@both_renderers
def test_a_run_is_cancelled_by_the_button_and_the_next_one_works(comfy: ComfyPage, checkpoint: str) -> None:
    erase, _ = erasing(comfy, checkpoint, MANY)
    run = comfy.queue()
    working = "(id) => window.seen.some(([kind, it]) => kind === 'progress_state' && it.nodes[id]?.value > 0)"
    comfy.page.wait_for_function(working, arg=str(erase), timeout=120_000)
    comfy.page.get_by_role("button", name="Cancel current run").click()
    comfy.wait_for("execution_interrupted", run)
    with pytest.raises(PromptInterrupted) as stopped:
        comfy.server.wait(run, timeout=30)
    assert stopped.value.node_type == ERASE_NODE
    expect(comfy.page).not_to_have_title(re.compile("%"))
    comfy.screenshot("cancelled")
    comfy.page.evaluate("([id, text]) => app.graph.getNodeById(id).widgets[0].value = text", [erase, "Arlo Vane"])
    comfy.run()


def test_sampling_is_cancelled_too(comfy: ComfyPage, checkpoint: str) -> None:
    sampler = sampling(comfy, checkpoint, steps=9000)
    run = comfy.queue()
    working = "(id) => window.seen.some(([kind, it]) => kind === 'progress_state' && it.nodes[id]?.value > 3)"
    comfy.page.wait_for_function(working, arg=str(sampler), timeout=120_000)
    comfy.page.get_by_role("button", name="Cancel current run").click()
    comfy.wait_for("execution_interrupted", run)
    with pytest.raises(PromptInterrupted):
        comfy.server.wait(run, timeout=30)


@both_renderers
def test_a_reload_finds_everything_as_it_was(comfy: ComfyPage, checkpoint: str) -> None:
    sampling(comfy, checkpoint, steps=4)
    comfy.run()
    for index, node in enumerate(NODES):
        comfy.add(node.define_schema().node_id, (420 * index, 1200))
    comfy.wait_kept()
    nodes, prompt = saved(comfy), comfy.prompt()
    comfy.look_at()
    comfy.screenshot("before")
    comfy.reload()
    assert saved(comfy) == nodes
    assert comfy.prompt() == prompt
    comfy.screenshot("after")


@both_themes
@both_renderers
def test_every_node_in_every_look(comfy: ComfyPage, checkpoint: str, renderer: str, theme: str) -> None:
    # The remark keeps the server from answering with what another look has computed, which has no report.
    concepts = f"Arlo Vane\nArlo  vane\nstar -> hexagram  # {renderer}, {theme}\n#moon"
    erase, _ = erasing(comfy, checkpoint, concepts)
    loader = comfy.nodes()[0]["id"]
    both = comfy.add("ScaPreBeforeAfter", steps=2, width=64, height=64, prompts="a red star\na blue moon")
    for origin, output, name in (
        (loader, 0, "original"),
        (erase, 0, "edited"),
        (loader, 1, "clip"),
        (loader, 2, "vae"),
    ):
        comfy.connect(origin, output, both, name)
    there = {node["type"] for node in comfy.nodes()}
    others = [comfy.add(kind) for kind in (node.define_schema().node_id for node in NODES) if kind not in there]
    comfy.page.evaluate("(ids) => ids.forEach((id) => (app.graph.getNodeById(id).mode = 2))", others)  # never run
    comfy.run()
    comfy.page.evaluate("(ids) => ids.forEach((id) => (app.graph.getNodeById(id).mode = 0))", others)
    comfy.page.evaluate("() => app.graph.arrange(60)")
    comfy.look_at()
    comfy.screenshot("all")
    for number in (erase, both):
        comfy.look_at(number)
        comfy.screenshot(f"node-{number}")
        faint, wide, count = audit(comfy)
        assert (faint, wide) == ([], [])
        assert count > 5


def widgets(comfy: ComfyPage) -> dict[str, list[tuple[str, str]]]:
    """Names and types of the widgets of every node in the graph."""
    read = "() => app.graph.nodes.map((node) => [node.type, (node.widgets ?? []).map((one) => [one.name, one.type])])"
    return {kind: [tuple(one) for one in found] for kind, found in comfy.page.evaluate(read)}


@pytest.mark.parametrize("settings", [dict.fromkeys(FEATURES, False)], indirect=True, ids=["off"])
@both_renderers
def test_without_the_features_the_nodes_are_the_frontends_own(comfy: ComfyPage, checkpoint: str) -> None:
    erasing(comfy, checkpoint)
    comfy.run()
    for index, node in enumerate(NODES):
        comfy.add(node.define_schema().node_id, (450 * index, 700))
    shown = widgets(comfy)
    assert ("concepts", "customtext") in shown[ERASE_NODE]
    assert not [kind for _, kind in itertools.chain(*shown.values()) if "SCAPRE" in kind.upper()]
    comfy.look_at()
    comfy.screenshot("off")


@both_renderers
def test_what_is_saved_and_sent_is_the_same_with_and_without_the_features(comfy: ComfyPage, checkpoint: str) -> None:
    erasing(comfy, checkpoint, '# the first\nArlo Vane -> art  # a remark\n#star\n\n"cat -> dog"')
    for node in NODES[1:]:
        comfy.add(node.define_schema().node_id, (0, 700))
    comfy.wait_kept()
    prompt, values = comfy.prompt(), {node["id"]: node.get("widgets_values") for node in comfy.nodes()}
    for feature in FEATURES:
        comfy.setting(feature, False)
    comfy.reload()
    assert comfy.prompt() == prompt
    assert {node["id"]: node.get("widgets_values") for node in comfy.nodes()} == values


@both_renderers
def test_a_node_that_was_there_before_its_editor_gets_it(comfy: ComfyPage) -> None:
    held: list[Route] = []
    slow = True
    comfy.page.route("**/api/scapre/web/**", lambda route: held.append(route) if slow else route.continue_())
    comfy.reload(features=False)
    erase = comfy.add(ERASE_NODE, (0, 0), concepts="Arlo Vane\nstar -> circle")
    assert ("concepts", "customtext") in widgets(comfy)[ERASE_NODE]
    expect(comfy.page.locator(".scapre-concepts")).to_have_count(0)
    slow = False
    assert held
    for route in held:
        route.continue_()
    comfy.look_at(erase)
    expect(comfy.page.locator(".scapre-concepts .row")).to_have_count(2)
    assert comfy.widget(erase, "concepts") == "Arlo Vane\nstar -> circle"


def test_a_workflow_with_a_node_waits_for_its_editor(comfy: ComfyPage) -> None:
    erase = comfy.add(ERASE_NODE, (0, 0), concepts="Arlo Vane")
    comfy.wait_kept()
    size = comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).size]", erase)
    comfy.page.route("**/api/scapre/web/**", lambda route: (time.sleep(0.2), route.continue_()))  # a slow server
    comfy.reload(features=False)
    assert ("concepts", "SCAPRE_CONCEPTS") in widgets(comfy)[ERASE_NODE]
    assert comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).size]", erase) == size


def test_without_its_files_the_page_has_plain_nodes(comfy: ComfyPage) -> None:
    comfy.expected = ["/api/scapre/web/"]
    comfy.page.route("**/api/scapre/web/**", lambda route: route.abort())
    with comfy.page.expect_console_message(lambda said: "Failed to fetch dynamically" in said.text):
        comfy.reload(features=False)
    erase = comfy.add(ERASE_NODE, (0, 0), concepts="Arlo Vane")
    assert ("concepts", "customtext") in widgets(comfy)[ERASE_NODE]
    assert comfy.prompt()[str(erase)]["inputs"]["concepts"] == "Arlo Vane"


@pytest.mark.parametrize("settings", [{"Comfy.Locale": one} for one in ("en", "zh")], indirect=True, ids=["en", "zh"])
def test_every_setting_is_shown_with_its_name(comfy: ComfyPage, settings: dict[str, str]) -> None:
    found = comfy.page.evaluate(
        "(ids) => ids.map((id) => app.extensionManager.setting.settings[id])"
        ".map((one) => one && [one.id, one.type, one.defaultValue, one.name, one.tooltip, one.category?.[0]])",
        FEATURES,
    )
    texts = json.loads((PACK_ROOT / "locales" / settings["Comfy.Locale"] / "settings.json").read_text(encoding="utf-8"))
    for setting, (name, kind, default, label, tooltip, category) in zip(FEATURES, found, strict=True):
        assert (name, kind, default, category) == (setting, "boolean", True, "ScaPre")
        english = {"name": label, "tooltip": tooltip}
        assert settings["Comfy.Locale"] != "en" or texts[setting.replace(".", "_")] == english
    comfy.command("Comfy.ShowSettingsDialog")
    dialog = comfy.page.get_by_role("dialog")
    dialog.get_by_text("ScaPre", exact=True).first.click()
    for setting in FEATURES:
        expect(dialog.get_by_text(texts[setting.replace(".", "_")]["name"], exact=True)).to_be_visible()
    comfy.screenshot("settings")
