"""A real browser on the real server and frontend.

A test asks for `comfy`, a `ComfyPage` over a new page with an empty graph: `comfy.page` is the Playwright page,
`comfy.url` the server's address, and its methods add nodes, queue, read the prompt and keep screenshots. The test
fails when the page's console has an error that `benchmarks.host.page.IGNORED` does not explain.

    @pytest.mark.parametrize("renderer", ["litegraph", "vue"], indirect=True)   # litegraph without it
    @pytest.mark.parametrize("theme", ["dark", "light"], indirect=True)         # dark without it
    @pytest.mark.parametrize("settings", [{"ScaPre.ReportPanel": False}], indirect=True)  # more settings, at the start
    def test_something(comfy): ...

SCAPRE_FRONTEND names another front end to test with: the folder `static` of an unpacked comfyui-frontend-package.

The model of these tests is MiniCanvas (`checkpoint`: what the loader calls it), which draws 64 pixels a side.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pack.benchmarks.host.base import PACK_ROOT, add_checkpoint
from pack.benchmarks.host.page import ComfyPage, write_settings
from pack.benchmarks.host.places import cache_folder
from pack.benchmarks.host.server import Server
from pack.tests.chromium import launched

ARTIFACTS = Path(os.environ.get("SCAPRE_ARTIFACTS") or PACK_ROOT / ".artifacts").absolute()
_FAILED, _DREW = pytest.StashKey[bool](), pytest.StashKey[bool]()
_SIZE = {"width": 1600, "height": 1000}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember whether the test itself failed, for a last picture of its page."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say where the pictures are."""
    if terminalreporter.config.stash.get(_DREW, False):
        terminalreporter.write_line(f"Screenshots of the browser tests: {ARTIFACTS}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; for one module, because Playwright's event loop would stand in the way of other tests."""
    yield from launched()


@pytest.fixture(scope="module")
def checkpoint(server: Server) -> Iterator[str]:
    """MiniCanvas, as the server lists it."""
    from pack.benchmarks.minicanvas import checkpoint

    file = checkpoint.build(cache_folder() / "minicanvas")
    yield add_checkpoint(server.base, file)
    (server.base / "models" / "checkpoints" / file.name).unlink()


@pytest.fixture
def renderer(request: pytest.FixtureRequest) -> str:
    """What draws the nodes: litegraph, or vue (Nodes 2.0)."""
    return getattr(request, "param", "litegraph")


@pytest.fixture
def theme(request: pytest.FixtureRequest) -> str:
    """Colours: dark or light."""
    return getattr(request, "param", "dark")


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """More settings."""
    return getattr(request, "param", {})


class Pages:
    """Open pages by their look: one that a test leaves as it found it is given to the next test."""

    def __init__(self, chromium: Any, server: Server) -> None:
        self._chromium, self._server = chromium, server
        self._open: dict[str, ComfyPage] = {}

    def take(self, settings: dict[str, Any], name: str) -> ComfyPage:
        """A page that is ready, with an empty graph."""
        write_settings(self._server, settings)
        found = self._open.pop(repr(settings), None)
        used = found is not None
        found = found or self._new(name)
        try:
            if used:
                found.again(name)
            else:
                found.open()
                found.fresh()
        except BaseException:
            found.page.context.close()
            raise
        return found

    def _new(self, name: str) -> ComfyPage:
        context = self._chromium.new_context(
            viewport=_SIZE, locale="en-US", permissions=["clipboard-read", "clipboard-write"]
        )
        return ComfyPage(context.new_page(), self._server, ARTIFACTS, name)

    def give_back(self, settings: dict[str, Any], page: ComfyPage) -> None:
        """Keep a page, or close it if something was done to it that stays."""
        if page.worn or page.errors:
            page.page.context.close()
        else:
            self._open[repr(settings)] = page

    def close(self) -> None:
        """Close all."""
        for page in self._open.values():
            page.page.context.close()


@pytest.fixture(scope="module")
def pages(chromium: Any, server: Server, checkpoint: str) -> Iterator[Pages]:
    """The pages of a module."""
    opened = Pages(chromium, server)
    yield opened
    opened.close()


@pytest.fixture
def comfy(
    pages: Pages, renderer: str, theme: str, settings: dict[str, Any], request: pytest.FixtureRequest
) -> Iterator[ComfyPage]:
    """A page that is ready, with an empty graph."""
    look = {"Comfy.VueNodes.Enabled": renderer == "vue", "Comfy.ColorPalette": theme, **settings}
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    clear_artifacts(name)
    request.config.stash[_DREW] = True
    opened = pages.take(look, name)
    yield opened
    if request.node.stash.get(_FAILED, False):
        opened.worn = True
        opened.screenshot("failed")
    pages.give_back(look, opened)
    assert opened.errors == []


def clear_artifacts(name: str) -> None:
    """Remove what an earlier run of this test has left."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for file in ARTIFACTS.glob(f"{name}-*.png"):
        file.unlink()


@pytest.fixture
def page(comfy: ComfyPage) -> Any:
    """The Playwright page of `comfy`."""
    return comfy.page
