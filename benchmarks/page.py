"""What the pack costs the page: `python -m benchmarks.page` prints bytes, and the page's start with and without it.

Two servers run side by side, one with the pack and one without. Every round opens each of them in a browser that has
cached nothing, and reloads it; which one comes first changes from round to round. The page has started when its
workflow is open and its spinner is gone. `busy` is the time that the page's main thread has had on a core until then,
which other programs on the machine disturb less than the time on the clock. `files` is the time from the first request
for a script of the pack to the last answer: the frontend waits for all of them, so it bounds what the pack adds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .host import browser
from .host.base import PACK_FOLDER, PACK_ROOT
from .host.client import HostError
from .host.page import READY, write_settings
from .host.places import comfy_root
from .host.server import Server, stop_on_terminate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

FIGURES = ("first start", "first busy", "first files", "again start", "again busy", "again files")
"""Milliseconds of the first visit and of a reload."""
_STAMP = f"""
    const ready = {READY};
    const look = () => {{
        if (ready()) window.readyAfter = performance.now();
        else setTimeout(look, 2);
    }};
    look();
"""
_FILES = f"""() => {{
    const ours = performance.getEntriesByType("resource").filter(({{ name }}) => /{PACK_FOLDER}.*\\.js$/.test(name));
    const [first, last] = [ours.map((one) => one.startTime), ours.map((one) => one.responseEnd)];
    return ours.length && Math.max(...last) - Math.min(...first);
}}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    stop_on_terminate()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--rounds", type=int, default=20, help="visits of each page (%(default)s)")
    parser.add_argument("--vue", action="store_true", help="draw nodes with Nodes 2.0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every figure")
    options = parser.parse_args(arguments)
    print(weights())
    try:
        rows = measure(options.rounds, vue=options.vue)
    except HostError as error:
        print(f"page: {error}", file=sys.stderr)
        return 1
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    print(f"\n{options.rounds} rounds{load}\n\n{table(rows)}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def weights() -> str:
    """Return the bytes of scripts and stylesheets, by the folder they lie in."""
    web = PACK_ROOT / "web"
    sizes: dict[tuple[str, str], int] = {}
    for file in sorted(web.rglob("*")):
        if file.suffix in (".js", ".mjs", ".css"):
            folder = file.relative_to(web).parts[0] if file.parent != web else "shared"
            sizes[folder, file.suffix] = sizes.get((folder, file.suffix), 0) + file.stat().st_size
    lines = [f"{folder:10} {kind:6} {size:6}" for (folder, kind), size in sorted(sizes.items())]
    whole = sum(size for (_, kind), size in sizes.items() if kind != ".css")
    return "\n".join([*lines, f"{'all':10} script {whole:6} bytes"])


def measure(rounds: int, *, vue: bool = False) -> list[dict[str, Any]]:
    """Visit both pages in turns; return one row for each visit."""
    rows = []
    with opened(vue=vue) as (chromium, servers):
        for number in range(rounds + 1):
            names = list(servers)
            for name in names if number % 2 else reversed(names):
                row = {"round": number, "pack": name, **visit(chromium, servers[name].url)}
                rows += [row] if number else []  # the first visit of each warms the server
            print(f"\r{number} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows


@contextmanager
def opened(*, vue: bool) -> Iterator[tuple[Browser, dict[str, Server]]]:
    """Start a server with the pack, one without, and a browser."""
    from playwright.sync_api import sync_playwright

    program = browser.find()
    if program is None:
        raise HostError(browser.MISSING)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {name: Server(comfy_root(), folder / name) for name in ("on", "off")}
        (servers["off"].base / "custom_nodes" / PACK_FOLDER).unlink()
        for server in servers.values():
            write_settings(server, {"Comfy.VueNodes.Enabled": vue})
            stack.enter_context(server)
        playwright = stack.enter_context(sync_playwright())
        chromium = playwright.chromium.launch(executable_path=program, args=list(browser.OPTIONS))
        stack.callback(chromium.close)
        yield chromium, servers


def visit(chromium: Browser, url: str) -> dict[str, float]:
    """Open a page in a browser without a past, and reload it."""
    context = chromium.new_context(locale="en-US")
    context.add_init_script(_STAMP)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(url, wait_until="commit")
    first = started(page, session)
    page.reload(wait_until="commit")
    figures = dict(zip(FIGURES, [*first, *started(page, session)], strict=True))
    context.close()
    return figures


def started(page: Page, session: CDPSession) -> tuple[float, float, float]:
    """Return milliseconds: until the page had started, that its main thread worked, and that our scripts took."""
    page.wait_for_function("() => window.readyAfter", timeout=120_000)
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return page.evaluate("() => window.readyAfter"), 1000 * metrics["TaskDuration"], page.evaluate(_FILES)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return medians with quartiles, and the median of the differences within a round with its 95 % interval."""
    lines = ["| ms | without | with | difference (95 %) |", "|---|---|---|---|"]
    for figure in FIGURES:
        off, on = ([row[figure] for row in rows if row["pack"] == name] for name in ("off", "on"))
        differences = [after - before for before, after in zip(off, on, strict=True)]
        low, high = interval(differences)
        found = f"{statistics.median(differences):+.0f} ({low:+.0f} to {high:+.0f})"
        lines.append(f"| {figure} | {spread(off)} | {spread(on)} | {found} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Return median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else 3 * [values[0]]
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def interval(values: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """Return where the median lies in 95 % of samples drawn from the values again."""
    chance = random.Random(0)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(draws))
    return medians[draws // 40], medians[-draws // 40]


if __name__ == "__main__":
    sys.exit(main())
