"""Draw the pictures of the help pages and the README again: the real frontend, on MiniCanvas.

    python dev.py tool benchmarks.screenshots [NAME ...]

Pictures of a whole graph carry it, so they can be dropped on the canvas.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .host.base import PACK_ROOT, add_checkpoint
from .host.places import comfy_root
from .minicanvas.neurons import INPUTS
from .minicanvas.unlearning import INPUTS as LEARNED

if TYPE_CHECKING:
    from .host.page import ComfyPage

IMAGES = PACK_ROOT / "web" / "docs" / "images"
WIDTH = 900
"""Pixels of a picture at most; the help panel is narrower."""
LOADER = "CheckpointLoaderSimple"


@dataclass(frozen=True)
class Node:
    """A node of a graph that is shown.

    Attributes:
        kind: its type.
        at: its place.
        values: of its widgets.
        inputs: (number of the node, output) by the input's name.
        size: width and height; None is its own.
    """

    kind: str
    at: tuple[float, float]
    values: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    size: tuple[float, float] | None = None


ERASE = Node(
    "ScaPreEraseConcepts",
    (350, 0),
    {"concepts": "Arlo Vane\nNoor Rahman\nstar -> circle", "preserve": "Mina Okoro\nhexagram"},
    {"model": (0, 0), "clip": (0, 1)},
)
NEURONS = Node(
    "ScaPreEraseNeurons",
    (350, 0),
    {
        "concepts": "Arlo Vane\nNoor Rahman",
        "preserve": "Mina Okoro",
        "preset": "style",
        "saliency": "released",
        **INPUTS,
        "pairs": 5,
    },
    {"model": (0, 0), "clip": (0, 1)},
)
UNLEARN = Node(
    "ScaPreUnlearn",
    (350, 0),
    {"concepts": "Arlo Vane", **LEARNED, "preview_every": 25},
    {"model": (0, 0), "clip": (0, 1)},
)
LOAD = Node(LOADER, (0, 0))
SAMPLED = {"width": 64, "height": 64, "steps": 20, "cfg": 3.0, "seed": 0}
PAIR = Node(
    "ScaPreBeforeAfter",
    (830, 0),
    {
        "prompts": "a blue house in the style of Arlo Vane\na red star\na green fish in the style of Mina Okoro",
        **SAMPLED,
    },
    {"original": (0, 0), "edited": (1, 0), "clip": (0, 1), "vae": (0, 2)},
)


@dataclass(frozen=True)
class Shot:
    """A graph, and what of it is in the picture.

    Attributes:
        nodes: the graph.
        shown: numbers of the nodes in the picture; none are all of them, and then the picture carries the graph.
        run: whether it is run before.
    """

    nodes: Sequence[Node]
    shown: Sequence[int] = ()
    run: bool = True


SHOTS = {
    "workflow": Shot([LOAD, ERASE, PAIR]),
    "ScaPreEraseConcepts": Shot([LOAD, ERASE, PAIR], [1]),
    "ScaPreEraseNeurons": Shot([LOAD, NEURONS, Node("PreviewAny", (830, 0), {}, {"source": (1, 2)})], [1]),
    "ScaPreUnlearn": Shot([LOAD, UNLEARN, Node("PreviewAny", (830, 0), {}, {"source": (1, 2)})], [1]),
    "ScaPreBeforeAfter": Shot([LOAD, ERASE, PAIR], [2]),
    "ScaPreBeforeAfterGrid": Shot(
        [
            LOAD,
            ERASE,
            PAIR,
            Node("ScaPreBeforeAfterGrid", (1360, 0), {}, {"before": (2, 0), "after": (2, 1), "captions": (2, 2)}),
            Node("PreviewImage", (1800, 0), {}, {"images": (3, 0)}, (420, 560)),
        ],
        [3, 4],
    ),
    "ScaPreEditMap": Shot(
        [
            LOAD,
            ERASE,
            Node("ScaPreEditMap", (830, 0), {}, {"edit": (1, 1)}),
            Node("PreviewImage", (1200, 0), {}, {"images": (2, 0)}, (560, 620)),
        ],
        [2, 3],
    ),
    "ScaPreApplyEdit": Shot(
        [LOAD, ERASE, Node("ScaPreApplyEdit", (830, 0), {"strength": 0.8}, {"model": (0, 0), "edit": (1, 1)})],
        [1, 2],
        False,
    ),
    "ScaPreConceptList": Shot(
        [
            LOAD,
            Node(
                "ScaPreEraseConcepts",
                (450, 0),
                {},
                {"model": (0, 0), "clip": (0, 1), "concepts": (2, 0)},
            ),
            Node("ScaPreConceptList", (0, 180), {"source": "bundled: painters", "filter": "van, claude"}),
        ],
        [1, 2],
        False,
    ),
    "ScaPreSaveEdit": Shot([LOAD, ERASE, Node("ScaPreSaveEdit", (830, 0), {}, {"edit": (1, 1)})], [1, 2]),
    "ScaPreLoadEdit": Shot(
        [
            LOAD,
            Node("ScaPreLoadEdit", (350, 0), {"file": "edit_00001_.safetensors [output]"}),
            Node("ScaPreApplyEdit", (830, 0), {}, {"model": (0, 0), "edit": (1, 0)}),
        ],
        [1, 2],
        False,
    ),
    "ScaPreMergeEdits": Shot(
        [
            LOAD,
            ERASE,
            Node("ScaPreEraseConcepts", (350, 560), {"concepts": "moon"}, {"model": (0, 0), "clip": (0, 1)}),
            Node("ScaPreMergeEdits", (830, 0), {}, {"model": (0, 0), "edits.edit_1": (1, 1), "edits.edit_2": (2, 1)}),
        ],
        [3],
        False,
    ),
    "ScaPreExportEdit": Shot(
        [LOAD, ERASE, Node("ScaPreExportEdit", (830, 0), {}, {"model": (0, 0), "edit": (1, 1)})], [2], False
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(['find', *SHOTS])} (all)")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder (%(default)s)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with opened() as (page, checkpoint):
        for name in options.names or ["find", *SHOTS]:
            file = options.out / f"{name}.png"
            if name == "find":
                find(page, file)
            else:
                draw(page, SHOTS[name], checkpoint, file)
            print(file, flush=True)
    return 0


@contextmanager
def opened() -> Iterator[tuple[ComfyPage, str]]:
    """Open the frontend on a server of its own; yields the page, and the name of the checkpoint."""
    from playwright.sync_api import sync_playwright

    from .demo import minicanvas
    from .host import browser
    from .host.page import ComfyPage, write_settings
    from .host.server import Server

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(comfy_root(), Path(folder) / "base")
        checkpoint = add_checkpoint(server.base, minicanvas())
        write_settings(server, {"Comfy.VueNodes.Enabled": False, "Comfy.NodeBadge.NodeSourceBadgeMode": "None"})
        with server:
            chromium = playwright.chromium.launch(executable_path=browser.find(), args=list(browser.OPTIONS))
            page = ComfyPage(chromium.new_page(viewport={"width": 1800, "height": 1200}), server, Path(folder), "page")
            page.open()
            yield page, checkpoint
            chromium.close()


def build(page: ComfyPage, shot: Shot, checkpoint: str) -> list[int]:
    """Put a graph on the canvas; return the ids of its nodes."""
    page.fresh()
    ids = []
    for node in shot.nodes:
        values = {"ckpt_name": checkpoint} if node.kind == LOADER else {}
        ids.append(page.add(node.kind, node.at, **values, **node.values))
        if node.size:
            page.page.evaluate("([id, size]) => app.graph.getNodeById(id).setSize(size)", [ids[-1], list(node.size)])
    for target, node in zip(ids, shot.nodes, strict=True):
        for name, (origin, slot) in node.inputs.items():
            page.connect(ids[origin], slot, target, name)
    return ids


def draw(page: ComfyPage, shot: Shot, checkpoint: str, file: Path) -> None:
    """Show a graph, run it, and keep its picture."""
    ids = build(page, shot, checkpoint)
    if shot.run:
        page.run()
    page.page.wait_for_timeout(1500)  # pictures fade in
    shown = [ids[number] for number in shot.shown] or ids
    page.look_at(*shown)
    page.page.wait_for_timeout(500)
    page.page.screenshot(path=file, clip=bounds(page, shown))
    graph = None if shot.shown else page.page.evaluate("() => app.graph.serialize()")
    finish(file, graph)


def bounds(page: ComfyPage, ids: Sequence[int], margin: float = 12) -> Any:
    """Return where nodes are on the screen."""
    return page.page.evaluate(
        """([ids, margin]) => {
            const { scale, offset } = app.canvas.ds, box = app.canvas.canvas.getBoundingClientRect();
            const edges = ids.map((id) => [...app.graph.getNodeById(id).boundingRect]);
            const [left, top] = [0, 1].map((axis) => Math.min(...edges.map((edge) => edge[axis])));
            const [right, bottom] = [0, 1].map((axis) => Math.max(...edges.map((edge) => edge[axis] + edge[axis + 2])));
            return {
                x: box.x + (left + offset[0]) * scale - margin, y: box.y + (top + offset[1]) * scale - margin,
                width: (right - left) * scale + 2 * margin, height: (bottom - top) * scale + 2 * margin,
            };
        }""",
        [list(ids), margin],
    )


def find(page: ComfyPage, file: Path) -> None:
    """Show what a search in a user's words finds."""
    page.fresh()
    page.search("remove artist")
    page.page.screenshot(path=file, clip={"x": 430, "y": 200, "width": 1195, "height": 560})
    page.page.keyboard.press("Escape")
    finish(file, None)


def finish(file: Path, graph: Any) -> None:
    """Make a picture no wider than it is shown, and put its graph into it."""
    from PIL import Image

    from .sheet import carrying

    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    picture.quantize(256).save(file, pnginfo=carrying(graph) if graph else None, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
