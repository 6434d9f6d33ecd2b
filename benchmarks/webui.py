"""AUTOMATIC1111 or Forge, which WEBUI_PATH names, with the pack: a picture of the panel, and what an edit costs.

WEBUI_PATH=FOLDER python dev.py tool benchmarks.webui panel     the README's picture
WEBUI_PATH=FOLDER python dev.py tool benchmarks.webui time      seconds a picture, with an edit and without
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .host import webui
from .host.base import PACK_ROOT
from .host.browser import OPTIONS, find
from .host.client import HostError
from .host.places import cache_folder

IMAGES = PACK_ROOT / "web" / "docs" / "images"
LIST = "Arlo Vane\nNoor Rahman\nstar -> circle"
PROMPT = "a red star, in the style of Arlo Vane"
METHODS = ("auto", "scapre", "oce")
ROUNDS = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("panel", "time"))
    parser.add_argument("--size", type=int, default=256, help="pixels a side of the timed pictures")
    parser.add_argument("--steps", type=int, default=20, help="of the timed pictures")
    options = parser.parse_args(arguments)
    with running(page=options.what == "panel") as web:
        if options.what == "panel":
            print(draw_panel(web))
        else:
            for line in timed(web, options.size, options.steps):
                print(line, flush=True)
    return 0


@contextmanager
def running(*, page: bool) -> Iterator[webui.WebUI]:
    """A web UI with MiniCanvas."""
    from .minicanvas.webui import add_minicanvas  # needs torch, which help does not

    folder = webui.find_webui()
    if folder is None:
        raise HostError(f"{webui.VARIABLE} names no folder of AUTOMATIC1111 or Forge")
    with tempfile.TemporaryDirectory(prefix="scapre-webui-") as place:
        web = webui.WebUI(folder, Path(place) / "data", page=page)
        add_minicanvas(web.data, folder, cache_folder() / "minicanvas")
        with web:
            yield web


def timed(web: webui.WebUI, size: int, steps: int) -> Iterator[str]:
    """Rows of a table: every round draws one picture of each kind, so that what slows the machine slows all."""
    kinds: dict[str, Any] = {"off": [False]} | {name: [True, LIST, "", "", name] for name in METHODS}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    request = {"width": size, "height": size, "steps": steps}
    for values in kinds.values():
        web.draw(PROMPT, values, **request)
    for _ in range(ROUNDS):
        for name, values in kinds.items():
            web.draw(PROMPT, values, **request)  # the first one after a change of the edit puts it on
            start = time.perf_counter()
            web.draw(PROMPT, values, **request)
            seconds[name].append(time.perf_counter() - start)
    yield f"{'Forge' if web.forge else 'AUTOMATIC1111'}, {size} px, {steps} steps, median of {ROUNDS}"
    off = statistics.median(seconds["off"])
    for name, found in seconds.items():
        pairs = statistics.median(one / other for one, other in zip(found, seconds["off"], strict=True))
        middle = statistics.median(found)
        yield f"{name:8} {middle:7.3f} s   of off: {middle / off:.4f}   pairs: {pairs:.4f}"


def draw_panel(web: webui.WebUI) -> Path:
    """A picture of the page's part with the panel, after a run."""
    from playwright.sync_api import sync_playwright

    place = IMAGES / f"webui-{'forge' if web.forge else 'a1111'}.png"
    part = "#script_txt2img_scapre_"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1300, "height": 1250})
        page.goto(web.url, wait_until="domcontentloaded")
        page.wait_for_selector("#txt2img_prompt textarea", timeout=120_000)
        page.wait_for_timeout(3000)
        for name, value in (("width", 64), ("height", 64), ("steps", 20), ("cfg_scale", 3)):
            page.locator(f"#txt2img_{name} input[type=number]").fill(str(value))
            page.locator(f"#txt2img_{name} input[type=number]").blur()
        page.locator("#txt2img_prompt textarea").fill(PROMPT)
        page.locator(f"{part}enabled .label-wrap").first.click()
        for name, value in (("concepts", LIST), ("preserve", "Mina Okoro\nhexagram")):
            page.locator(f"{part}{name} textarea").fill(value)
            page.locator(f"{part}{name} textarea").blur()
        page.locator("#txt2img_generate").click()
        page.wait_for_selector("#html_log_txt2img .performance", timeout=120_000)
        page.wait_for_timeout(1500)
        page.evaluate("scrollTo(0, 0)")
        place.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=place)
        browser.close()
    _shrink(place)
    return place


def _shrink(place: Path) -> None:
    from PIL import Image

    picture = Image.open(place).convert("RGB")
    wide = 900
    scaled = picture.resize((wide, picture.height * wide // picture.width), Image.Resampling.LANCZOS)
    scaled.quantize(128).save(place, optimize=True)


if __name__ == "__main__":
    raise SystemExit(main())
