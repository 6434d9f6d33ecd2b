"""The slider of Before and After: pairs of pictures in the node, in both renderers and themes."""

from __future__ import annotations

from typing import Any

import pytest

from pack.benchmarks.host.page import ComfyPage

PROMPTS = "a blue house in the style of Arlo Vane\na red star"
SLIDER, LINE = ".scapre-compare", ".scapre-compare [role=slider]"

both_renderers = pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)
both_themes = pytest.mark.parametrize("theme", ["dark", "light"], indirect=True)


def build(comfy: ComfyPage, checkpoint: str, **values: Any) -> int:
    """A loader, an eraser, and Before and After; returns the id of the last."""
    loader = comfy.add("CheckpointLoaderSimple", (0, 100), ckpt_name=checkpoint)
    erase = comfy.add("ScaPreEraseConcepts", (400, 100), concepts="Arlo Vane")
    quick = {"prompts": PROMPTS, "steps": 4, "cfg": 3, "width": 64, "height": 64}
    pair = comfy.add("ScaPreBeforeAfter", (900, 100), **quick | values)
    for origin, output, target, name in (
        (loader, 0, erase, "model"),
        (loader, 1, erase, "clip"),
        (loader, 0, pair, "original"),
        (erase, 0, pair, "edited"),
        (loader, 1, pair, "clip"),
        (loader, 2, pair, "vae"),
    ):
        comfy.connect(origin, output, target, name)
    comfy.look_at(pair)
    return pair


def shown(comfy: ComfyPage) -> list[str]:
    """The addresses of the two pictures, once they are there."""
    loaded = """() => {
        const pictures = [...document.querySelectorAll(".scapre-compare img")];
        return pictures.length === 2 && pictures.every((one) => one.complete && one.naturalWidth === 64)
            && pictures.map((one) => one.src);
    }"""
    return comfy.page.wait_for_function(loaded, timeout=15_000).json_value()


def size(comfy: ComfyPage, node: int) -> list[float]:
    comfy.settle()
    return comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).size]", node)


def share(comfy: ComfyPage) -> int:
    """Where the line is, in percent."""
    said = int(comfy.page.locator(LINE).get_attribute("aria-valuenow") or -1)
    line, frame = (comfy.page.locator(place).bounding_box() for place in (LINE, f"{SLIDER} .frame"))
    assert line and frame
    drawn = 100 * (line["x"] + line["width"] / 2 - frame["x"]) / frame["width"]
    assert drawn == pytest.approx(said, abs=1)
    return said


@both_renderers
@both_themes
def test_a_run_puts_its_pairs_under_the_slider(comfy: ComfyPage, checkpoint: str) -> None:
    node = build(comfy, checkpoint)
    assert "Run this node" in comfy.page.locator(SLIDER).inner_text()
    empty = size(comfy, node)
    comfy.screenshot("empty")
    entry = comfy.run()
    before, after = shown(comfy)
    comfy.screenshot("shown")
    first = entry["outputs"][str(node)]["scapre_compare"][0]
    assert first["before"]["filename"] in before
    assert first["after"]["filename"] in after
    assert size(comfy, node) == empty
    assert comfy.page.locator(f"{SLIDER} .caption").inner_text() == PROMPTS.splitlines()[0]
    assert "1 / 2" in comfy.page.locator(f"{SLIDER} .pager").inner_text()


@both_renderers
def test_the_line_follows_the_pointer_and_the_keys(comfy: ComfyPage, checkpoint: str) -> None:
    node = build(comfy, checkpoint)
    comfy.run()
    shown(comfy)
    assert share(comfy) == 50
    place = comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).pos]", node)
    frame = comfy.page.locator(f"{SLIDER} .frame").bounding_box()
    assert frame
    middle = frame["y"] + frame["height"] / 2
    comfy.page.mouse.move(frame["x"] + 0.5 * frame["width"], middle)
    comfy.page.mouse.down()
    comfy.page.mouse.move(frame["x"] + 0.2 * frame["width"], middle, steps=3)
    assert share(comfy) == pytest.approx(20, abs=1)
    comfy.page.mouse.move(frame["x"] - 50, middle)  # the line stops at the edge
    assert share(comfy) == 0
    comfy.page.mouse.up()
    comfy.page.mouse.move(frame["x"] + 0.9 * frame["width"], middle)
    assert share(comfy) == 0
    for key, expected in (("ArrowRight", 2), ("PageUp", 12), ("ArrowDown", 10), ("End", 100), ("PageDown", 90)):
        comfy.page.keyboard.press(key)  # the press of the pointer has put the focus on the line
        assert share(comfy) == expected
    assert comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).pos]", node) == place


@both_renderers
def test_arrows_go_through_the_prompts(comfy: ComfyPage, checkpoint: str) -> None:
    build(comfy, checkpoint)
    comfy.run()
    first = shown(comfy)
    caption = comfy.page.locator(f"{SLIDER} .caption")
    comfy.page.get_by_role("button", name="Next prompt").click()
    assert caption.inner_text() == "a red star"
    second = shown(comfy)
    assert len({*first, *second}) == 4
    comfy.page.get_by_role("button", name="Next prompt").click()
    assert shown(comfy) == first
    comfy.page.get_by_role("button", name="Previous prompt").click()
    assert shown(comfy) == second
    opened = comfy.page.locator(f"{SLIDER} a.after")
    assert (opened.get_attribute("href"), opened.get_attribute("target")) == (
        second[1].removeprefix(comfy.url),
        "_blank",
    )


def test_one_prompt_needs_no_arrows(comfy: ComfyPage, checkpoint: str) -> None:
    build(comfy, checkpoint, prompts="a <b>red</b> star")
    comfy.run()
    shown(comfy)
    assert comfy.page.locator(f"{SLIDER} .caption").inner_text() == "a <b>red</b> star"
    assert not comfy.page.locator(f"{SLIDER} .pager").is_visible()


@both_renderers
def test_pictures_outlive_a_reload_but_not_their_files(comfy: ComfyPage, checkpoint: str, renderer: str) -> None:
    build(comfy, checkpoint, prompts=f"a red star, {renderer}")  # files that no other test is shown
    comfy.run()
    pictures = shown(comfy)
    comfy.wait_kept()
    comfy.reload()
    comfy.settle()
    assert shown(comfy) == pictures
    comfy.wait_kept()
    for file in (comfy.server.base / "temp").glob("*.png"):
        file.unlink()
    comfy.page.route("**/view?*", lambda route: route.continue_())  # past the browser's cache
    comfy.reload()
    gone = comfy.page.locator(SLIDER).get_by_text("no longer in ComfyUI's temporary folder")
    gone.wait_for(timeout=15_000)
    comfy.screenshot("gone")
    comfy.errors[:] = [error for error in comfy.errors if "/view?" not in error]  # the browser's own words on it


@both_renderers
def test_the_widget_is_not_in_the_workflow(comfy: ComfyPage, checkpoint: str) -> None:
    node = build(comfy, checkpoint)
    (saved,) = (entry for entry in comfy.nodes() if str(entry["id"]) == str(node))
    assert saved["widgets_values"] == [PROMPTS, "", 0, "fixed", 4, 3, "euler", "normal", 64, 64]
    assert set(comfy.prompt()[str(node)]["inputs"]) == {
        *("original", "edited", "clip", "vae", "prompts", "negative", "seed", "steps", "cfg", "sampler_name"),
        *("scheduler", "width", "height"),
    }


@both_renderers
@pytest.mark.parametrize("settings", [{"ScaPre.CompareSlider": False}], indirect=True)
def test_a_setting_leaves_the_slider_out(comfy: ComfyPage, checkpoint: str) -> None:
    node = build(comfy, checkpoint)
    comfy.run()
    assert comfy.page.locator(SLIDER).count() == 0
    (saved,) = (entry for entry in comfy.nodes() if str(entry["id"]) == str(node))
    assert saved["widgets_values"] == [PROMPTS, "", 0, "fixed", 4, 3, "euler", "normal", 64, 64]


def test_the_wheel_zooms_the_graph_over_the_pictures(comfy: ComfyPage, checkpoint: str) -> None:
    build(comfy, checkpoint)
    box = comfy.page.locator(SLIDER).bounding_box()
    assert box
    before = comfy.page.evaluate("() => app.canvas.ds.scale")
    comfy.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    comfy.page.mouse.wheel(0, -100)
    comfy.page.wait_for_function("(before) => app.canvas.ds.scale > before", arg=before, timeout=5_000)
