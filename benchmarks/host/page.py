"""One page of the real frontend, and what a person does in it."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .server import Server

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Error, Locator, Page

EMPTY = (1200, 800)
"""A place in the window where there is nothing but canvas, as long as no node is there."""
READY = """() => window.app?.vueAppReady && window.app.extensionManager?.spinner === false
    && window.app.extensionManager.workflow.activeWorkflow"""
SETTINGS = {
    "Comfy.TutorialCompleted": True,  # else the template browser covers the first page
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.Appearance.DisableAnimations": True,
    "Comfy.Graph.CanvasInfo": False,  # a count of frames would make every screenshot differ
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # else small text is left out
    "Comfy.Minimap.Visible": False,  # it covers what lies in its corner
    "Comfy.Locale": "en",
}
"""What every page starts with."""
IGNORED = {
    r"status of 404 .*/user\.css$": "a user's own stylesheet, which nobody has made",
    r"status of 404 .*/api/userdata(\?dir=|/)": "files of the user that are not there yet",
    r"ComfyApp graph accessed before initialization": "the frontend itself, at each start",
    r"status of 404 .*/docs/\w+/en\.md$": "help in English lies in the page that names no language, asked for next",
    r"Content Security Policy.* http://[\d.]+:\d+/assets/": "the frontend asks other servers, which it may not",
}
"""Console errors that are not this pack's, as patterns of "text address", and where they come from."""
_WATCH = """async () => {
    const { api } = await import("/scripts/api.js");
    window.seen = [];
    const kinds = ["execution_start", "progress_state", "executed", "execution_success", "execution_error",
        "execution_interrupted"];
    for (const kind of kinds) api.addEventListener(kind, (event) => window.seen.push([kind, event.detail]));
}"""
_LOADED = """async () => {
    const pack = window.app.extensions.find(({ name }) => name === "ScaPre");
    await pack.beforeConfigureGraph({ nodes: [{ type: "ScaPre" }] });  // as before a workflow that has a node of it
}"""
_EMPTY = """async () => {
    const { command, workflow } = window.app.extensionManager;
    await command.execute("Comfy.NewBlankWorkflow");
    const others = workflow.openWorkflows.filter((one) => one !== workflow.activeWorkflow);
    for (const one of others) await workflow.closeWorkflow(one);
}"""
_FORGET = """() => {
    window.seen.length = 0;
    Object.assign(app.canvas.ds, { scale: 1, offset: [0, 0] });
    getSelection().removeAllRanges();
    document.activeElement?.blur();
}"""
_ADD = """([type, at, values]) => {
    const node = window.LiteGraph.createNode(type);
    if (!node) throw new Error(`there is no node ${type}`);
    node.pos = at;
    window.app.graph.add(node);
    for (const [name, value] of Object.entries(values)) {
        const widget = node.widgets.find((one) => one.name === name);
        widget.value = value;
        widget.callback?.(value);
    }
    return node.id;
}"""
_LOOK = """(ids) => {
    const nodes = app.graph.nodes.filter((node) => !ids.length || ids.includes(node.id));
    const left = Math.min(...nodes.map((node) => node.pos[0]));
    const top = Math.min(...nodes.map((node) => node.pos[1] - 30));
    const right = Math.max(...nodes.map((node) => node.pos[0] + node.size[0]));
    const bottom = Math.max(...nodes.map((node) => node.pos[1] + node.size[1]));
    app.canvas.ds.fitToBounds([left, top, right - left, bottom - top], { zoom: 0.8 });
    app.canvas.setDirty(true, true);
}"""


class ComfyPage:
    """A page of the frontend.

    Attributes:
        page: the Playwright page.
        url: the server's address.
        server: a client of the server, to look at what the page has sent.
        errors: what the console and the page have complained about so far.
        expected: patterns, as in `IGNORED`, of what a test itself brings about.
        worn: whether something was done to the page that clearing its graph does not undo.
    """

    def __init__(self, page: Page, server: Server, artifacts: Path, name: str) -> None:
        self.page, self.server, self.url = page, server, server.url
        self._artifacts = artifacts
        self._begin(name)
        page.on("console", self._hear)
        page.on("pageerror", self._fail)

    def _hear(self, message: ConsoleMessage) -> None:
        said = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not any(
            re.search(pattern, said, re.DOTALL) for pattern in (*IGNORED, *self.expected)
        ):
            self.errors.append(said)

    def _fail(self, error: Error) -> None:
        self.errors.append(f"uncaught: {error.stack or error.message}")

    # The page

    def _begin(self, name: str) -> None:
        self._name, self.worn = name, False
        self.errors: list[str] = []
        self.expected: list[str] = []

    def again(self, name: str) -> None:
        """Make a used page like a new one, for what is called otherwise: starting the frontend takes five seconds."""
        self.page.unroute_all()
        if self.page.locator("[role=search], [role=dialog], [role=menu]").count():
            self.page.keyboard.press("Escape")
        self.fresh()
        self.page.mouse.click(*EMPTY)  # lets go of what was taken up
        self.page.evaluate(_FORGET)
        self._begin(name)

    def open(self, query: str = "") -> None:
        """Go to the frontend and wait until it can be used."""
        self.page.goto(f"{self.url}/{query}", wait_until="commit")
        self.wait_ready()

    def wait_ready(self, *, features: bool = True) -> None:
        """Wait until the frontend has started and its workflow is open, and the pack's features are loaded."""
        self.page.wait_for_function(READY, timeout=90_000)
        self.page.evaluate(_WATCH)
        if features:
            self.page.evaluate(_LOADED)

    def reload(self, *, features: bool = True) -> None:
        """Reload the page as a person does, and wait until it can be used.

        The frontend keeps a changed graph half a second after the change; wait for that first (`wait_kept`).
        """
        self.worn = True
        self.page.reload(wait_until="commit")
        self.wait_ready(features=features)

    def fresh(self) -> None:
        """Leave one tab with an empty graph."""
        self.page.evaluate(_EMPTY)
        self.page.wait_for_function("() => window.app.graph.nodes.length === 0")

    def screenshot(self, name: str, target: Locator | None = None) -> Path:
        """Keep a picture of the page, or of one element, in the artifacts folder; return the file."""
        file = self._artifacts / f"{self._name}-{name}.png"
        (target or self.page).screenshot(path=file)
        return file

    def setting(self, name: str, value: Any) -> None:
        """Change a setting in the running page."""
        self.worn = True
        self.page.evaluate("([name, value]) => app.extensionManager.setting.set(name, value)", [name, value])

    def command(self, name: str) -> None:
        """Run a command of the frontend."""
        self.page.evaluate("(name) => app.extensionManager.command.execute(name)", name)

    # The graph

    def search(self, words: str) -> Locator:
        """Type into the search for nodes, which a double click on the canvas opens; return what is offered."""
        box = self.page.get_by_role("search")
        for _ in range(5):  # the clicks of a busy page may lie too far apart to be a double click
            if box.count():
                break
            self.page.mouse.dblclick(*EMPTY)
            self.page.wait_for_timeout(2000)
        box.get_by_role("combobox", name="Add a node").fill(words)
        return box.get_by_role("option")

    def add(self, kind: str, at: tuple[float, float] = (100, 100), **values: Any) -> int:
        """Put a node into the graph and set widgets of it; return its id."""
        return self.page.evaluate(_ADD, [kind, at, values])

    def connect(self, origin: int, output: int, target: int, name: str) -> None:
        """Connect an output, by number, to an input, by name."""
        link = """([from, slot, to, name]) => {
            const target = app.graph.getNodeById(to);
            const made = app.graph.getNodeById(from).connect(slot, target, target.findInputSlot(name));
            if (!made) throw new Error(`${name} does not take that`);
        }"""
        self.page.evaluate(link, [origin, output, target, name])

    def widget(self, node: int, name: str) -> Any:
        """Return the value of a widget."""
        read = "([id, name]) => app.graph.getNodeById(id).widgets.find((one) => one.name === name).value"
        return self.page.evaluate(read, [node, name])

    def nodes(self) -> list[dict[str, Any]]:
        """Return id, type, size and widgets_values of every node, as a saved workflow has them."""
        return self.page.evaluate("() => app.graph.serialize().nodes")

    def node(self, number: int) -> Locator:
        """Return a node's element (Nodes 2.0 only; LiteGraph draws on a canvas)."""
        return self.page.locator(f'[data-node-id="{number}"]').first

    def prompt(self) -> dict[str, dict[str, Any]]:
        """Return what would be queued: nodes by id."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def look_at(self, *numbers: int) -> None:
        """Show these nodes, or all of them, as large as fits beside the frontend's own bars."""
        self.settle()
        self.page.evaluate(_LOOK, list(numbers))
        self.settle()

    def settle(self) -> None:
        """Let the frontend draw what has changed."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    # Runs

    def queue(self) -> str:
        """Queue the graph with what the Run button does; return the id of the run."""
        before = self._started()
        self.command("Comfy.QueuePrompt")
        has_more = "(count) => window.seen.filter(([kind]) => kind === 'execution_start').length > count"
        self.page.wait_for_function(has_more, arg=before, timeout=60_000)
        return self.seen("execution_start")[-1]["prompt_id"]

    def _started(self) -> int:
        return len(self.seen("execution_start"))

    def run(self, timeout: float = 300.0) -> dict[str, Any]:
        """Queue the graph and wait until the page has heard that it ended well; return its history entry."""
        run = self.queue()
        entry = self.server.wait(run, timeout)
        self.wait_for("execution_success", run)
        return entry

    def seen(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one kind that the page has had since it started."""
        return self.page.evaluate("(kind) => window.seen.filter(([one]) => one === kind).map(([, it]) => it)", kind)

    def wait_for(self, kind: str, run: str, timeout: float = 60.0) -> None:
        """Wait until the page has had a message of this kind about a run."""
        heard = "([kind, run]) => window.seen.some(([one, it]) => one === kind && it.prompt_id === run)"
        self.page.wait_for_function(heard, arg=[kind, run], timeout=1000 * timeout)
        self.settle()

    def wait_kept(self) -> None:
        """Wait until the frontend has kept the graph as it is now, so that a reload finds it."""
        self.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker?.captureCanvasState()")
        kept = """() => {
            const graph = JSON.stringify(app.graph.serialize().nodes);
            const drafts = Object.keys(localStorage).filter((key) => key.startsWith("Comfy.Workflow.Draft.v2"));
            return drafts.some((key) => (localStorage.getItem(key) ?? "").includes(JSON.stringify(graph).slice(1, -1)));
        }"""
        self.page.wait_for_function(kept, timeout=15_000, polling=100)


def write_settings(server: Server, settings: dict[str, Any]) -> None:
    """Make these the only settings that the server's user has."""
    folder = server.base / "user" / "default"
    folder.mkdir(parents=True, exist_ok=True)
    # Without the version the defaults would be those of an old installation.
    installed = {"Comfy.InstalledVersion": version("comfyui_frontend_package")}
    (folder / "comfy.settings.json").write_text(json.dumps(SETTINGS | installed | settings), encoding="utf-8")
