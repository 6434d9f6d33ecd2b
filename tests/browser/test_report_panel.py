"""The report panel: what it shows of a run, that it stays where it is, and that it leaves the workflow alone."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from pack.benchmarks.graphs import ERASE_NODE
from pack.benchmarks.host.page import ComfyPage

both_renderers = pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)
LOAD_NODE, MERGE_NODE = "ScaPreLoadEdit", "ScaPreMergeEdits"
HOSTILE = '<img src="x" onerror="window.hit = true">'
FORMULA = '=HYPERLINK("http://example.org")'
PAIR = "Painter {} \N{EN DASH} Painter {}: {:.2f}"
_SEND = "([id, data]) => app.graph.getNodeById(id).onExecuted({ scapre_report: [JSON.stringify(data)] })"
_SIZE = "(id) => [...app.graph.getNodeById(id).size]"
_PASTE = """(id) => {
    app.canvas.selectItems([app.graph.getNodeById(id)]);
    app.canvas.copyToClipboard();
    app.canvas.pasteFromClipboard();
}"""
_HAS_PANEL = "(id) => app.graph.getNodeById(id).widgets.some((one) => one.name === 'scapre_report')"


def report(count: int, blocks: int = 16, **more: Any) -> dict[str, Any]:
    """A made-up report of `count` concepts in which every number is another one."""
    names = [f"Painter {index}" for index in range(count)]
    shown = min(count, 100)
    cosines = [[1 if i == j else round((i + j) / 400 + i * j / 20000, 4) for j in range(shown)] for i in range(shown)]
    return {
        "title": f"Erased {count} concepts",
        "lines": ["A line of the node"],
        "seconds": {"text encoding": 0.25, "solve": 1.5},
        "concepts": [
            {"name": name, "anchor": "art" if i % 2 else "", "remaining": i / count, "kept": 0.5 - i / count / 4}
            for i, name in enumerate(names)
        ],
        "drift": [{"name": "", "role": "empty", "drift": 0.125}, {"name": "Monet", "role": "preserved", "drift": 0.75}],
        "blocks": [{"block": f"input {i}.0", "key": (i + 1) / 100, "value": (i + 1) / 50} for i in range(blocks)],
        "conflicts": {"names": names[:shown], "cosines": cosines, "of": count} if count > 1 else None,
        "notes": ["A note"],
        **more,
    }


def show(comfy: ComfyPage, node: int, data: dict[str, Any]) -> Locator:
    """Hands a report to a node as the frontend does, and returns its panel."""
    comfy.page.evaluate(_SEND, [node, data])
    comfy.look_at(node)
    return comfy.page.locator(".scapre-report").last


def section(panel: Locator, title: str) -> Locator:
    """A section by its title."""
    return panel.locator("details").filter(has=panel.page.locator("summary", has_text=title))


def cells(rows: Locator) -> list[list[str]]:
    """The texts of a table's rows."""
    read = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent).filter(Boolean))"
    return rows.evaluate_all(read)


@both_renderers
def test_a_run_is_shown_and_kept(comfy: ComfyPage, checkpoint: str, renderer: str) -> None:
    loader = comfy.add("CheckpointLoaderSimple", (0, 0), ckpt_name=checkpoint)
    erase = comfy.add(ERASE_NODE, (350, 0), concepts=f"Arlo Vane\nstar -> moon\n{renderer}", preserve="circle")
    output = comfy.add("PreviewAny", (850, 0))
    for slot, name in enumerate(("model", "clip")):
        comfy.connect(loader, slot, erase, name)
    comfy.connect(erase, 2, output, "source")
    assert comfy.page.locator(".scapre-report").count() == 0
    values = comfy.nodes()[1]["widgets_values"]
    [told] = comfy.run()["outputs"][str(erase)]["scapre_report"]
    data = json.loads(told)
    panel = comfy.page.locator(".scapre-report")
    expect(panel.locator("strong")).to_have_text(data["title"])
    rows = cells(section(panel, "Erased").locator("tr:has(td)"))
    worst = sorted(data["concepts"], key=lambda row: -row["remaining"])
    assert [float(row[1]) for row in rows] == pytest.approx([row["remaining"] for row in worst], abs=0.0051)
    assert [float(row[2]) for row in rows] == pytest.approx([row["kept"] for row in worst], abs=0.0051)
    assert rows[[row["name"] for row in worst].index("star")][0] == "star → moon"
    assert section(panel, "Change by layer").get_by_role("img").get_attribute("aria-label")
    assert comfy.nodes()[1]["widgets_values"] == values
    comfy.look_at()
    comfy.screenshot("run")
    size = comfy.nodes()[1]["size"]
    comfy.wait_kept()
    comfy.reload()
    expect(panel.locator("strong")).to_have_text(data["title"])
    assert comfy.nodes()[1]["size"] == pytest.approx(size, abs=1)
    assert comfy.nodes()[1]["widgets_values"] == values


@both_renderers
@pytest.mark.parametrize("kind", [ERASE_NODE, MERGE_NODE, LOAD_NODE])
def test_the_node_grows_once(comfy: ComfyPage, kind: str) -> None:
    node = comfy.add(kind)
    comfy.settle()
    before = comfy.page.evaluate(_SIZE, node)
    panel = show(comfy, node, report(3))
    grown = comfy.page.evaluate(_SIZE, node)
    assert grown[0] >= before[0]
    assert grown[1] > before[1] + 100
    show(comfy, node, report(1000, 70))
    panel.get_by_role("button", name="List all 1000").click()
    section(panel, "Erased").locator("summary").click()
    comfy.settle()
    assert comfy.page.evaluate(_SIZE, node) == grown
    assert panel.count() == 1


@pytest.mark.parametrize("theme", ["dark", "light"], indirect=True)
@both_renderers
def test_one_three_sixty_and_a_thousand(comfy: ComfyPage) -> None:
    for place, count in enumerate((1, 3, 60, 1000)):
        node = comfy.add(LOAD_NODE, (430 * place, 0))
        panel = show(comfy, node, report(count, 70 if count > 3 else 16))
        comfy.page.evaluate("(id) => app.graph.getNodeById(id).setSize([410, 1100])", node)
        rows = section(panel, "Erased").locator("tr:has(td)")
        assert rows.count() == min(count, 30)
        assert cells(rows)[0][0].startswith(f"Painter {count - 1}")  # the worst one
        assert section(panel, "close to each other").count() == (count > 1)
        inside = "(list) => list.scrollWidth <= list.clientWidth"
        assert panel.locator(".scroll").evaluate(inside)
    expect(panel).to_contain_text("100 of 1000 concepts.")
    comfy.look_at()
    comfy.screenshot("panels")


def test_names_are_text(comfy: ComfyPage) -> None:
    data = report(3)
    data["concepts"][0]["name"] = data["conflicts"]["names"][0] = data["title"] = HOSTILE
    data["drift"][1]["name"] = data["blocks"][0]["block"] = data["notes"][0] = data["lines"][0] = HOSTILE
    panel = show(comfy, comfy.add(LOAD_NODE), data)
    assert panel.locator("img").count() == 0
    assert section(panel, "Erased").get_by_text(HOSTILE).count() == 1
    section(panel, "Change by layer").locator(".map").hover(position={"x": 2, "y": 5})
    expect(panel.locator(".tip").first).to_contain_text(HOSTILE)
    assert not comfy.page.evaluate("() => Boolean(window.hit)")


@both_renderers
def test_maps_are_read_with_the_keys(comfy: ComfyPage) -> None:
    node, data = comfy.add(LOAD_NODE), report(60)
    panel = show(comfy, node, data)
    place = comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).pos]", node)
    layers, matrix = panel.get_by_role("img").all()  # the bars are none: their numbers stand beside them
    layers.focus()
    expect(panel.locator(".tip").first).to_have_text("input 0.0 K: 0.010")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
        comfy.page.keyboard.press(key)
    expect(panel.locator(".tip").first).to_have_text("input 2.0 V: 0.060")
    matrix.focus()
    for _ in range(59):
        comfy.page.keyboard.press("ArrowDown")
    comfy.page.keyboard.press("ArrowRight")
    cosines = data["conflicts"]["cosines"]
    expect(panel.locator(".tip").last).to_have_text(PAIR.format(59, 1, cosines[59][1]))
    assert matrix.get_attribute("aria-label") == (
        f"Concepts close to each other, 3540 values. Highest: {PAIR.format(58, 59, cosines[58][59])}. "
        "Lowest: Painter 1 \N{EN DASH} Painter 0: 0.003. Arrow keys read each value."
    )
    assert comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).pos]", node) == place
    comfy.screenshot("matrix")


@pytest.mark.parametrize("clipboard", [True, False])
def test_copies(comfy: ComfyPage, clipboard: bool) -> None:
    data = report(3)
    data["concepts"][0]["name"] = FORMULA
    panel = show(comfy, comfy.add(LOAD_NODE), data)
    if not clipboard:  # as on a page over plain http
        comfy.page.evaluate("() => { Object.defineProperty(navigator, 'clipboard', { value: undefined }); }")
    for kind in ("CSV", "JSON"):
        panel.get_by_role("button", name=f"Copy {kind}").click()
        expect(panel.get_by_role("button", name="Copied")).to_be_visible()
        text = _pasted(comfy)
        if kind == "JSON":
            assert json.loads(text) == data
            continue
        head, *rows = csv.reader(io.StringIO(text))
        assert head == ["table", "name", "of", "measure", "value"]
        assert ["concepts", "Painter 1", "art", "remaining", str(1 / 3)] in rows
        assert ["concepts", "'" + FORMULA, "", "kept", "0.5"] in rows
        assert ["held", "Monet", "preserved", "drift", "0.75"] in rows
        assert ["change", "input 15.0", "", "V", "0.32"] in rows
        assert ["time", "solve", "", "seconds", "1.5"] in rows
        assert len([row for row in rows if row[0] == "conflicts"]) == 3
        expect(panel.get_by_role("button", name="Copied")).to_have_count(0, timeout=5000)


def _pasted(comfy: ComfyPage) -> str:
    """The clipboard's text, as pasting puts it into a text field."""
    comfy.page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('textarea'), { id: 'paste' }))"
    )
    comfy.page.locator("#paste").press("Control+v")
    text = comfy.page.locator("#paste").input_value()
    comfy.page.evaluate("() => document.getElementById('paste').remove()")
    return text


@pytest.mark.parametrize("settings", [{"Comfy.Locale": one} for one in ("en", "zh")], indirect=True, ids=["en", "zh"])
def test_a_preserved_name_is_no_promise(comfy: ComfyPage, settings: dict[str, str]) -> None:
    chinese = settings["Comfy.Locale"] == "zh"
    words = "目前只作测量\uff0c不会影响编辑" if chinese else "only measured so far: they do not change the edit"
    node, data = comfy.add(LOAD_NODE), report(3)
    panel = show(comfy, node, data)
    expect(section(panel, "应当不变" if chinese else "Should stay")).to_contain_text(words)
    comfy.screenshot("preserved")
    show(comfy, node, {**data, "drift": data["drift"][:1]})
    expect(section(panel, "应当不变" if chinese else "Should stay")).to_be_visible()
    expect(panel).not_to_contain_text(words)


def test_folds_are_remembered_and_copies_of_a_node_have_no_report(comfy: ComfyPage) -> None:
    node = comfy.add(LOAD_NODE)
    panel = show(comfy, node, report(3))
    section(panel, "Time").locator("summary").click()
    show(comfy, node, report(5))
    comfy.page.evaluate(_PASTE, node)
    comfy.page.wait_for_function("() => app.graph.nodes.length === 2")
    comfy.wait_kept()
    comfy.reload()
    expect(panel).to_have_count(1)
    expect(panel.locator("strong")).to_have_text("Erased 5 concepts")
    assert section(panel, "Time").get_attribute("open") is None
    assert section(panel, "Erased").get_attribute("open") is not None
    assert [comfy.page.evaluate(_HAS_PANEL, one["id"]) for one in comfy.nodes()] == [True, False]


def test_a_run_that_ended_behind_another_workflow(comfy: ComfyPage) -> None:
    node = comfy.add(LOAD_NODE)
    comfy.page.evaluate(
        "([id, text]) => { app.nodeOutputs = { [id]: { scapre_report: [text] } } }", [node, json.dumps(report(3))]
    )
    expect(comfy.page.locator(".scapre-report strong")).to_have_text("Erased 3 concepts")


@both_renderers
@pytest.mark.parametrize("settings", [{"ScaPre.ReportPanel": False}], indirect=True)
def test_switched_off(comfy: ComfyPage) -> None:
    node = comfy.add(LOAD_NODE)
    comfy.settle()
    size = comfy.page.evaluate(_SIZE, node)
    comfy.page.evaluate(_SEND, [node, report(3)])
    comfy.settle()
    assert not comfy.page.evaluate(_HAS_PANEL, node)
    assert comfy.page.evaluate(_SIZE, node) == size


@pytest.mark.parametrize("settings", [{"Comfy.Locale": "zh"}], indirect=True)
def test_in_chinese(comfy: ComfyPage) -> None:
    panel = show(comfy, comfy.add(LOAD_NODE), report(3))
    expect(panel.locator("summary").first).to_have_text("已擦除")
    expect(panel.get_by_role("button", name="复制 CSV")).to_be_visible()
