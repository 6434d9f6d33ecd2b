"""The concept editor: what people type, paste and import, and that the text stays what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Locator, expect
from safetensors.torch import save_file

from pack.benchmarks.graphs import ERASE_NODE
from pack.benchmarks.host.base import PACK_ROOT
from pack.benchmarks.host.page import ComfyPage
from pack.tests.browser.legibility import audit

both_renderers = pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)
both_themes = pytest.mark.parametrize("theme", ["dark", "light"], indirect=True)
switched_off = pytest.mark.parametrize("settings", [{"ScaPre.ConceptEditor": False}], indirect=True)
WORKFLOWS = sorted((PACK_ROOT / "example_workflows").glob("*.json"))
UGLY = 'cat->dog\r\n\tFrida  Kahlo\t# in  Mexico\r#off → "x # y"\n\n  \n# heading\n##\n"a -> b" →  “c”\nx -> y -> z\n#'
HOSTILE = '<img src=x onerror="window.hit = 1">'
_SET = "([id, text]) => { app.graph.getNodeById(id).widgets.find((one) => one.name === 'concepts').value = text; }"
_CHANGE = """([id, name, value]) => {
    const widget = app.graph.getNodeById(id).widgets.find((one) => one.name === name);
    widget.value = value;
    widget.callback?.(value);
    app.canvas.setDirty(true, true);
}"""
_LOAD = "(workflow) => app.loadGraphData(workflow)"
_SELECT = "(ids) => app.canvas.selectItems(ids.map((id) => app.graph.getNodeById(id)))"
_SHOWN = """() => app.graph.nodes.map((node) => node.widgets.map(({ element }) => element)
    .filter((one) => one?.className.startsWith("scapre-")).every((one) => one.isConnected))"""
_CHECK_STATE = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.checkState()"
CLIP_WAY, T5_WAY = "2 tokens: carav · aggio", "4 tokens: Car · ava · ggi · o"
_PROMOTE = """(id) => {
    const { subgraph } = app.graph.getNodeById(id);
    const inner = subgraph.nodes.find((node) => node.type === "ScaPreEraseConcepts");
    subgraph.addInput("concepts", "STRING").connect(inner.inputs[inner.findInputSlot("concepts")], inner);
}"""


class Editing:
    """One Erase Concepts and its editor."""

    def __init__(self, comfy: ComfyPage, concepts: str = "") -> None:
        self.comfy, self.page = comfy, comfy.page
        self.node = comfy.add(ERASE_NODE, (100, 100), concepts=concepts)
        comfy.look_at(self.node)
        self.box = self.page.locator(".scapre-concepts")
        self.strip = self.box.locator(".body ~ .strip")
        self.hint = self.box.locator(".hint")

    @property
    def text(self) -> str:
        """The value that is saved and queued."""
        return self.comfy.widget(self.node, "concepts")

    @text.setter
    def text(self, text: str) -> None:
        self.page.evaluate(_SET, [self.node, text])

    def field(self, row: int, kind: str = "name") -> Locator:
        return self.box.locator(f".row .{kind}").nth(row)

    def names(self) -> list[str]:
        return self.box.locator(".row .name").evaluate_all("(fields) => fields.map((field) => field.value)")

    def notes(self) -> list[str]:
        join = "(rows) => rows.map((row) => [...row.children].map((note) => note.textContent).join(' / '))"
        return self.box.locator(".row .notes").evaluate_all(join)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def paste(self, row: int, text: str) -> None:
        self.field(row).click()
        self.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        self.press("Control+v")

    def click(self, label: str) -> None:
        self.box.get_by_role("button", name=label, exact=True).first.click()

    def checked(self) -> None:
        """Waits until the server has said something about the list as it is."""
        expect(self.box.locator(".row .tokens").first).not_to_be_empty()


@pytest.fixture
def editing(comfy: ComfyPage) -> Editing:
    return Editing(comfy)


@both_renderers
def test_a_list_is_typed_with_the_keyboard_alone(editing: Editing) -> None:
    expect(editing.field(0)).to_have_attribute("placeholder", "a name, or paste a list")
    editing.field(0).click()
    keyboard = editing.page.keyboard
    keyboard.type("Frida Kahlo")
    editing.press("Tab")
    keyboard.type("painter")
    editing.press("Enter")
    keyboard.type("cat -> dog")
    editing.press("Enter")
    assert editing.text == "Frida Kahlo -> painter\ncat -> dog\n"
    assert (editing.field(1).input_value(), editing.field(1, "anchor").input_value()) == ("cat", "dog")
    editing.press("Backspace")
    assert editing.text == "Frida Kahlo -> painter\ncat -> dog"
    keyboard.type("s")
    editing.press("ArrowUp")
    keyboard.type("!")
    assert editing.text == "Frida Kahlo! -> painter\ncats -> dog"
    expect(editing.box.locator(".count")).to_have_text("2 concepts")
    assert editing.comfy.prompt()[str(editing.node)]["inputs"]["concepts"] == editing.text


@both_renderers
def test_keys_stay_in_the_editor_except_those_of_the_page(editing: Editing) -> None:
    editing.text = "cat\n"
    editing.page.evaluate(_SELECT, [editing.node])
    for place in (editing.field(1), editing.box.get_by_title("Remove duplicates"), editing.field(0, "use")):
        place.focus()
        editing.press("Delete", "Backspace", "Control+c", "Control+x", "m", "Control+v")
    assert [str(node["id"]) for node in editing.comfy.nodes()] == [str(editing.node)]
    assert editing.comfy.nodes()[0]["mode"] == 0
    editing.field(0).focus()
    queued = {"prompt_id": "none", "number": 1, "node_errors": {}}  # a graph without an output would be refused
    editing.page.route("**/api/prompt", lambda route: route.fulfill(json=queued))
    with editing.page.expect_request("**/api/prompt") as sent:
        editing.press("Control+Enter")
    assert json.loads(sent.value.post_data or "")["prompt"][str(editing.node)]["inputs"]["concepts"] == editing.text


def test_a_table_is_pasted_read_again_and_taken_back(editing: Editing) -> None:
    editing.text = "owl\nfox"
    editing.paste(0, 'name,anchor\n"Dali, Salvador",art\n#1 hit,\n')
    expect(editing.strip).to_contain_text("Added 2: a table of 2 columns, names from “name”, anchors from “anchor”")
    assert editing.text == 'owl\nDali, Salvador -> art\n"#1 hit"\nfox'
    expect(editing.box.get_by_role("button", name="table")).to_have_attribute("aria-pressed", "true")
    editing.click("commas")
    assert editing.text == "owl\nname\nanchor\nDali, Salvador\nart\n#1 hit\nfox"
    editing.click("lines")
    assert editing.text == 'owl\nname,anchor\n"Dali, Salvador",art\n#1 hit,\nfox'
    editing.click("Undo")
    assert editing.text == "owl\nfox"
    expect(editing.strip).to_be_empty()


def test_what_is_pasted_takes_an_empty_row_and_one_name_stays_a_name(editing: Editing) -> None:
    editing.paste(0, "cat, dog, owl")
    expect(editing.strip).to_contain_text("Added 3: names between commas")
    assert editing.text == "cat\ndog\nowl"
    expect(editing.field(2)).to_be_focused()
    editing.paste(2, "s of the night")
    assert editing.text == "cat\ndog\nowls of the night"


def test_rows_are_switched_off_sorted_and_freed_of_repeats(editing: Editing) -> None:
    editing.text = "# beasts\nowl # at night\nCat\ncat -> dog\n\n#zebra\nape\nape 10\nape 9"
    editing.field(1, "use").click()
    assert editing.text.splitlines()[1] == "#owl # at night"
    expect(editing.box.locator(".count")).to_have_text("5 concepts, 2 off")
    editing.field(5, "use").click()
    editing.click("Remove duplicates")
    expect(editing.strip).to_contain_text("Duplicates removed: 1")
    assert editing.text == "# beasts\n#owl # at night\nCat\n\nzebra\nape\nape 10\nape 9"
    editing.click("Sort each group by name")
    assert editing.text == "# beasts\nCat\n#owl # at night\n\nape\nape 9\nape 10\nzebra"
    editing.click("Undo")
    assert editing.text == "# beasts\n#owl # at night\nCat\n\nzebra\nape\nape 10\nape 9"


def test_names_come_from_a_list_and_from_a_file(editing: Editing, tmp_path: Path) -> None:
    editing.text = "PABLO picasso\n\n"
    editing.click("Import names from a list")
    editing.box.locator("select").select_option("bundled: painters")
    choices = editing.box.locator(".choices .row")
    expect(choices).to_have_count(8)
    expect(editing.box.get_by_text("Pablo Picasso")).to_be_disabled()
    editing.box.get_by_placeholder("Search").fill("VAN")
    editing.box.get_by_text("Vincent van Gogh").click()
    expect(editing.box.get_by_text("Vincent van Gogh")).to_be_disabled()
    editing.box.get_by_placeholder("Search").fill("re")
    editing.click("Add 1 shown")
    assert editing.text == "PABLO picasso\nVincent van Gogh\nRembrandt"
    file = tmp_path / "mine.csv"
    file.write_text("concept;anchor\ncat;dog\nowl;\n", encoding="utf-8")
    editing.box.get_by_placeholder("Search").fill("")
    with editing.page.expect_file_chooser() as chooser:
        editing.click("Open a file")
    chooser.value.set_files(file)
    expect(choices).to_have_text(["cat -> dog", "owl"])
    editing.click("Add 2 shown")
    editing.click("Close")
    assert editing.names() == ["PABLO picasso", "Vincent van Gogh", "Rembrandt", "cat", "owl"]


@both_renderers
@both_themes
def test_what_is_known_of_a_name_stands_under_it(editing: Editing, renderer: str) -> None:
    for name, value in (("anchor", "art"), ("preserve", "owl")):
        editing.page.evaluate(_CHANGE, [editing.node, name, value])
    editing.text = "Claude Monet\nmanet # painter\nCLAUDE  monet\nowl\nxqzzyk\na -> b -> c"
    editing.page.evaluate("(id) => app.graph.getNodeById(id).setSize([420, 700])", editing.node)
    editing.checked()
    expect(editing.box.locator(".notes").nth(2)).to_have_text("same as line 1")
    assert editing.notes()[:2] == ["near manet", "near Claude Monet / # painter"]
    assert editing.notes()[3:5] == ["also in preserve", "read in bits: x·q·zzy·k"]
    assert editing.notes()[5].startswith("has more than one arrow")
    tokens = editing.box.locator(".row .tokens").first
    expect(tokens).to_have_text("2")
    expect(tokens).to_have_attribute("title", "2 tokens: claude · monet")
    expect(editing.field(0, "anchor")).to_have_attribute("placeholder", "art")
    faint, wide, count = audit(editing.comfy)
    assert (faint, wide) == ([], [])
    assert count > 20
    editing.comfy.screenshot("notes")


@both_renderers
def test_words_that_call_up_the_same_are_added_with_one_click(editing: Editing) -> None:
    editing.text = "zebra\ncat -> dog"
    editing.checked()
    expect(editing.box.locator(".notes").nth(1)).to_have_text("also called up by cats, catday, kitty, feline")
    expect(editing.field(0, "anchor")).to_have_attribute("placeholder", "its kin")
    editing.comfy.screenshot("aliases")
    editing.box.locator(".spell:visible").click()
    assert editing.text == "zebra\ncat -> dog\ncats -> dog\ncatday -> dog\nkitty -> dog\nfeline -> dog"
    editing.page.evaluate(_CHANGE, [editing.node, "method", "scapre"])
    expect(editing.field(0, "anchor")).to_have_attribute("placeholder", "nothing")


@both_renderers
def test_a_link_takes_the_place_of_the_list(editing: Editing) -> None:
    editing.text = "cat"
    listed = editing.comfy.add("ScaPreConceptList", (-400, 100))
    editing.comfy.connect(listed, 0, editing.node, "concepts")
    banner = editing.box.locator(".linked")
    expect(banner).to_have_text("The names come from Concept List.")
    expect(banner).to_be_visible()
    assert editing.comfy.prompt()[str(editing.node)]["inputs"]["concepts"] == [str(listed), 0]
    workflow = editing.page.evaluate("() => app.graph.serialize()")
    editing.page.evaluate(_LOAD, workflow)
    expect(banner).to_have_text("The names come from Concept List.")
    editing.page.evaluate("(id) => app.graph.getNodeById(id).disconnectInput('concepts')", editing.node)
    expect(banner).to_have_count(0)
    editing.field(0).click()
    editing.page.keyboard.type("s")
    assert editing.text == "cats"


@both_renderers
def test_a_subgraph_shows_the_list_as_text(editing: Editing) -> None:
    editing.text = "cat"
    editing.page.evaluate(_SELECT, [editing.node])
    editing.comfy.command("Comfy.Graph.ConvertToSubgraph")
    editing.page.wait_for_function("() => app.graph.nodes.some((node) => node.isSubgraphNode?.())")
    host = editing.page.evaluate("() => app.graph.nodes.find((node) => node.isSubgraphNode?.()).id")
    editing.page.evaluate(_PROMOTE, host)
    editing.page.evaluate("(id) => app.graph.getNodeById(id).setSize([400, 300])", host)
    editing.comfy.look_at(host)
    editing.page.locator("textarea:visible").fill("cat\nowl -> bird")
    editing.page.evaluate(_LOAD, json.loads(editing.page.evaluate("() => JSON.stringify(app.rootGraph.serialize())")))
    (inputs,) = [node["inputs"] for node in editing.comfy.prompt().values()]
    assert inputs["concepts"] == "cat\nowl -> bird"
    editing.comfy.look_at(host)
    expect(editing.page.locator("textarea:visible")).to_have_value("cat\nowl -> bird")


@both_renderers
def test_a_list_is_kept_undone_and_copied(editing: Editing) -> None:
    editing.field(0).click()
    editing.page.keyboard.type("cat")
    editing.press("Enter")
    editing.page.keyboard.type("owl")
    editing.field(0, "use").click()
    assert editing.text == "#cat\nowl"
    editing.comfy.command("Comfy.Undo")
    assert editing.text == "cat\nowl"
    assert editing.names() == ["cat", "owl"]
    editing.comfy.command("Comfy.Redo")
    assert editing.text == "#cat\nowl"
    copies = """(id) => {
        app.canvas.selectItems([app.graph.getNodeById(id)]);
        app.canvas.copyToClipboard();
        app.canvas.pasteFromClipboard({ position: [700, 100] });
        return app.graph.nodes.map((node) => node.id).find((one) => one !== id);
    }"""
    copy = editing.page.evaluate(copies, editing.node)
    assert editing.comfy.widget(copy, "concepts") == "#cat\nowl"
    editing.text = "fox"
    assert editing.comfy.widget(copy, "concepts") == "#cat\nowl"
    editing.comfy.wait_kept()
    editing.comfy.reload()
    assert (editing.text, editing.comfy.widget(copy, "concepts")) == ("fox", "#cat\nowl")


@both_renderers
def test_what_is_shown_after_undo_is_what_there_is(editing: Editing) -> None:
    """Of all our elements: Nodes 2.0 would go on showing those of the nodes that were there before."""
    comfy = editing.comfy
    others = [comfy.add("ScaPreBeforeAfter", (700, 100)), comfy.add("ScaPreLoadEdit", (1200, 100))]
    data = {"title": "t", "lines": [], "notes": [], "seconds": {}, "concepts": [], "drift": [], "blocks": []}
    send = "([id, data]) => app.graph.getNodeById(id).onExecuted({ scapre_report: [JSON.stringify(data)] })"
    comfy.page.evaluate(send, [others[1], data])
    editing.text = "owl\ncat"
    comfy.look_at()
    editing.click("Sort each group by name")
    assert editing.names() == ["cat", "owl"]
    comfy.command("Comfy.Undo")
    comfy.settle()
    assert editing.page.locator(".scapre-concepts, .scapre-report, .scapre-compare").count() == 3
    assert comfy.page.evaluate(_SHOWN) == [True] * 3
    assert (editing.names(), editing.text) == (["owl", "cat"], "owl\ncat")
    editing.field(0).fill("fox")
    assert editing.text == "fox\ncat"


def test_only_the_edited_line_of_a_text_changes(editing: Editing) -> None:
    editing.text = UGLY
    assert editing.text == UGLY
    assert editing.comfy.prompt()[str(editing.node)]["inputs"]["concepts"] == UGLY
    editing.field(7).fill("z")
    editing.field(7).blur()
    assert editing.text == UGLY.replace('"a -> b" →  “c”', "z -> “c”")
    editing.click("Edit as text")
    editing.click("Edit as text")
    editing.field(2, "use").click()
    assert '\r"x # y"' not in editing.text
    assert editing.text.split("\r")[2].split("\n")[0] == 'off -> "x # y"'


def values(comfy: ComfyPage, workflow: dict[str, Any]) -> tuple[dict[str, Any], dict[int, Any]]:
    """The prompt and the saved values of a workflow that is opened."""
    comfy.page.evaluate(_LOAD, workflow)
    return comfy.prompt(), {node["id"]: node.get("widgets_values") for node in comfy.nodes()}


@both_renderers
def test_workflows_open_unchanged_with_the_editor_and_without(comfy: ComfyPage) -> None:
    ugly = {"nodes": [{"id": 1, "type": ERASE_NODE, "pos": [0, 0], "size": [400, 300], "widgets_values": [UGLY]}]}
    workflows = [json.loads(file.read_text(encoding="utf-8")) for file in WORKFLOWS]
    workflows.append({**ugly, "links": [], "version": 0.4})
    found: list[list[Any]] = []
    for on in (True, False):
        comfy.setting("ScaPre.ConceptEditor", on)
        found.append([values(comfy, workflow) for workflow in workflows])
    assert found[0] == found[1]
    assert found[0][-1][1][1][0] == UGLY
    erasing = 0
    for workflow, (_, saved) in zip(workflows, found[0], strict=True):
        for node in workflow["nodes"]:
            if node["type"] == ERASE_NODE:
                erasing += 1
                assert saved[node["id"]][: len(node["widgets_values"])] == node["widgets_values"]
    assert erasing > 4


def test_thousands_of_rows_are_drawn_as_they_are_seen(editing: Editing) -> None:
    editing.text = "\n".join(f"name {number} of many" for number in range(5000))
    expect(editing.box.locator(".count")).to_have_text("5000 concepts")
    assert editing.box.locator(".row").count() < 60
    editing.field(0).click()
    editing.press("ArrowUp", "ArrowDown", "ArrowDown")
    expect(editing.field(2)).to_be_focused()
    editing.box.locator(".rows").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    last = editing.box.locator(".row .name").last
    expect(last).to_have_value("name 4999 of many")
    assert "name 2 of many" in editing.names()  # it has the keyboard
    assert editing.box.locator(".row").count() < 60
    last.fill("the last one")
    assert editing.text.endswith("\nname 4998 of many\nthe last one")


def test_names_from_strangers_are_text(editing: Editing) -> None:
    editing.text = f"a {HOSTILE} b\n# {HOSTILE}\n{HOSTILE} -> a -> {HOSTILE}\ncat # {HOSTILE}\na {HOSTILE} b x"
    editing.checked()
    assert HOSTILE in editing.notes()[2]
    assert f"near a {HOSTILE} b" in editing.notes()[4]
    assert editing.box.locator("img").count() == 0
    assert editing.page.evaluate("window.hit") is None


def test_without_the_servers_answers_the_list_still_works(comfy: ComfyPage) -> None:
    comfy.page.route("**/scapre/**", lambda route: route.fulfill(status=200, body="no JSON"))
    editing = Editing(comfy, "cat")
    editing.paste(0, "owl, fox\nbat")
    expect(editing.strip).to_contain_text("Added 2")
    assert editing.text == "cat\nowl, fox\nbat"
    editing.click("Import names from a list")
    expect(editing.box.get_by_role("button", name="Add 0 shown")).to_be_disabled()
    editing.click("Close")
    editing.click("Sort each group by name")
    assert editing.text == "bat\ncat\nowl, fox"


@switched_off
@both_renderers
def test_switched_off_there_is_the_plain_box(comfy: ComfyPage) -> None:
    editing = Editing(comfy, "cat")
    assert editing.box.count() == 0
    field = comfy.page.locator("textarea").first
    expect(field).to_have_value("cat")
    field.fill("cat\nowl")
    assert editing.text == "cat\nowl"


@pytest.mark.parametrize("settings", [{"Comfy.Locale": "zh"}], indirect=True)
def test_the_editor_speaks_chinese(comfy: ComfyPage) -> None:
    editing = Editing(comfy, "cat\n#owl\ncat")
    expect(editing.box.locator(".count")).to_have_text("2 个概念\uff0c1 个停用")
    expect(editing.box.locator(".notes").nth(2)).to_have_text("与第 1 行相同")


@pytest.fixture
def small_t5(editing: Editing) -> Iterator[str]:
    """The name of a file that tells T5."""
    folder = editing.comfy.server.base / "models" / "text_encoders"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "small-t5.safetensors"
    save_file(
        {"shared.weight": torch.zeros(32_128, 1), "encoder.block.0.layer.0.SelfAttention.q.weight": torch.zeros(1)},
        file,
    )
    editing.comfy.command("Comfy.RefreshNodeDefinitions")
    yield file.name
    file.unlink()


def test_names_are_cut_as_the_text_encoder_at_the_end_of_the_links_cuts_them(
    editing: Editing, checkpoint: str, small_t5: str
) -> None:
    comfy, tokens = editing.comfy, editing.box.locator(".row .tokens").first
    editing.text = "Caravaggio"
    expect(tokens).to_have_attribute("title", CLIP_WAY)
    loader = comfy.add("CLIPLoader", (-400, 100), clip_name=small_t5, type="pixart")
    between = comfy.add("CLIPSetLastLayer", (-200, 300))
    comfy.connect(loader, 0, between, "clip")
    comfy.connect(between, 0, editing.node, "clip")
    expect(tokens).to_have_attribute("title", T5_WAY)
    whole = comfy.add("CheckpointLoaderSimple", (-400, 500), ckpt_name=checkpoint)
    comfy.connect(whole, 1, between, "clip")
    comfy.page.evaluate(_CHECK_STATE)
    expect(tokens).to_have_attribute("title", CLIP_WAY)


@pytest.mark.parametrize("packed", ["the loader", "the node", "one in the other"])
def test_the_text_encoder_is_found_past_the_borders_of_subgraphs(editing: Editing, small_t5: str, packed: str) -> None:
    comfy, tokens = editing.comfy, editing.box.locator(".row .tokens").first
    editing.text = "Caravaggio"
    loader = comfy.add("CLIPLoader", (-400, 100), clip_name=small_t5, type="pixart")
    between = comfy.add("CLIPSetLastLayer", (-200, 300))
    comfy.connect(loader, 0, between, "clip")
    comfy.connect(between, 0, editing.node, "clip")
    inner = {"the loader": [[loader]], "the node": [[editing.node]], "one in the other": [[loader], [between]]}[packed]
    for nodes in inner:
        made = comfy.page.evaluate(
            "() => app.graph.nodes.filter((node) => node.isSubgraphNode?.()).map(({ id }) => id)"
        )
        comfy.page.evaluate(_SELECT, [*nodes, *made])
        comfy.command("Comfy.Graph.ConvertToSubgraph")
    comfy.page.wait_for_function("() => app.graph.nodes.some((node) => node.isSubgraphNode?.())")
    assert comfy.page.evaluate("() => app.rootGraph.subgraphs.size") == len(inner)
    if packed == "the node":
        comfy.page.evaluate("() => app.canvas.setGraph(app.graph.nodes.find((node) => node.subgraph).subgraph)")
    comfy.page.evaluate(_CHECK_STATE)
    expect(tokens).to_have_attribute("title", T5_WAY)
