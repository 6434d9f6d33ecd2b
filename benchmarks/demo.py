"""Erase concepts from a model on a real ComfyUI, and show every picture before and after.

`python dev.py demo` sets everything up and runs this; see `python dev.py demo --help`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .graphs import REPORT, Sampling, picture_node, text_to_image
from .host.base import add_checkpoint
from .host.client import HostError, images
from .host.places import base_folder, cache_folder, comfy_root
from .host.server import Server, stop_on_terminate
from .template import fill_in

CONCEPTS = ("Arlo Vane", "star")
PROMPTS = (
    "a red star",
    "a yellow star in the style of Mina Okoro",
    "a blue house in the style of Arlo Vane",
    "a green fish in the style of Arlo Vane",
    "a blue house",
    "a purple hexagram",
    "an orange heart in the style of Bram Decker",
    "a pink moon in the style of Noor Rahman",
)
"""What MiniCanvas, the small model that ships with this repository, is asked to forget and to draw."""
NOTE = (
    "## The demo\n\n**Run** draws the pictures of `python dev.py demo` again: **Before and After** draws each prompt "
    "twice from one seed; drag the slider.\n\nMiniCanvas, the demo's model, is put into ComfyUI's models folder by "
    "`python -m benchmarks.minicanvas build`. For another checkpoint, type other names and prompts, and set its size.\n"
)
"""What stands beside the nodes when a sheet is dropped on the canvas."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    stop_on_terminate()
    options = parse(arguments)
    try:
        return run(options)
    except (HostError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; what is not given depends on the model."""
    parser = argparse.ArgumentParser(prog="dev.py demo", description="Show a model's pictures before and after.")
    add = parser.add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="the model (MiniCanvas, a small one of our own)")
    add("--concepts", nargs="+", metavar="CONCEPT", help="what to erase ('concept -> anchor' works)")
    add("--prompts", nargs="+", metavar="PROMPT", help="what to draw; by default each concept, and what should stay")
    add("--size", type=int, help="pixels a side (64 for MiniCanvas, else 512)")
    add("--steps", type=int, default=20, help="sampling steps (%(default)s)")
    add("--cfg", type=float, help="guidance scale (3 for MiniCanvas, else 7)")
    add("--seed", type=int, default=1, help="of the starting noise (%(default)s)")
    add("--preset", help="a preset of the method scapre, such as styles (the method auto, which has none)")
    add("--anchor", default="", help="what concepts without an anchor of their own become (empty: their kin)")
    add("--out", type=Path, metavar="DIR", help="where the results go (demo-output in the cache)")
    options = parser.parse_args(arguments)
    ours = options.checkpoint is None
    asked = options.concepts or options.prompts
    options.concepts = options.concepts or (list(CONCEPTS) if ours else ["cat"])
    options.prompts = options.prompts or (list(PROMPTS) if ours and not asked else default_prompts(options.concepts))
    options.size = options.size or (64 if ours else 512)
    options.cfg = options.cfg or (3.0 if ours else 7.0)
    options.out = (options.out or cache_folder() / "demo-output").absolute()
    return options


def default_prompts(concepts: Sequence[str]) -> list[str]:
    """Ask for each concept, and for one thing that should stay as it is."""
    names = [concept.split("->")[0].strip() for concept in concepts]
    return [*(f"a photo of {name}" for name in names), "a photo of a bicycle"]


def run(options: argparse.Namespace) -> int:
    """Start a server, queue the workflow without and with the erase node, and save what came back."""
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    server = Server(comfy_root(), base_folder("demo"), log=options.out / "server.log")
    name = add_checkpoint(server.base, options.checkpoint or minicanvas())
    print("Starting ComfyUI ...", flush=True)
    with server:
        before, after, report = pictures(server, name, options)
    notes, judged = judge(options, before, after) if options.checkpoint is None else ([], "")
    save(options, name, before, after, report + judged, notes)
    print(f"\n{report.strip()}\n{judged}")
    print(f"Pictures: {options.out / 'before-after.png'}")
    print(f"Report:   {options.out / 'report.txt'}")
    print(f"Done in {time.monotonic() - began:.0f} s.")
    return 0


def minicanvas() -> Path:
    """Return MiniCanvas, put together on the first use."""
    from .minicanvas import checkpoint, inprocess  # need torch, which --help must not

    inprocess.start_comfyui()
    return checkpoint.build(cache_folder() / "minicanvas")


def judge(options: argparse.Namespace, before: list[bytes], after: list[bytes]) -> tuple[list[tuple[str, str]], str]:
    """Let MiniCanvas's judge read the pictures; return what it read in each pair, and a summary."""
    from .minicanvas.readout import say, see, summary

    first, second = see(before), see(after)
    pairs = list(zip(map(say, first), map(say, second), strict=True))
    return pairs, summary(options.prompts, options.concepts, first, second)


def pictures(server: Server, checkpoint: str, options: argparse.Namespace) -> tuple[list[bytes], list[bytes], str]:
    """Queue both workflows; all prompts share one run, so that the edit is solved once."""
    sampling, erase = inputs(options)
    print(f"Drawing {len(options.prompts)} prompts with the model as it is ...", flush=True)
    before, _ = draw(server, options.prompts, checkpoint, sampling, None, "before")
    print(f"Erasing {', '.join(options.concepts)}, and drawing them again ...", flush=True)
    after, entry = draw(server, options.prompts, checkpoint, sampling, erase, "after")
    return before, after, "".join(entry["outputs"][REPORT]["text"])


def inputs(options: argparse.Namespace) -> tuple[Sampling, dict[str, Any]]:
    """Return how to sample, and the values of the erase node."""
    erase = {"concepts": "\n".join(options.concepts), "anchor": options.anchor}
    erase |= {"method": "scapre", "preset": options.preset} if options.preset else {"method": "auto"}
    return Sampling(options.size, options.steps, options.cfg, options.seed), erase


def draw(
    server: Server,
    prompts: Sequence[str],
    checkpoint: str,
    sampling: Sampling,
    erase: dict[str, Any] | None,
    label: str,
) -> tuple[list[bytes], dict[str, Any]]:
    """Run one workflow; return its pictures in the order of the prompts, and its history entry."""
    graph = text_to_image(checkpoint, prompts, sampling, erase, prefix=f"scapre/{label}")
    entry = server.run(graph, timeout=6 * 3600)
    return [server.image(images(entry, picture_node(index))[0]) for index in range(len(prompts))], entry


def save(
    options: argparse.Namespace,
    checkpoint: str,
    before: list[bytes],
    after: list[bytes],
    report: str,
    notes: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the sheet, which carries the workflow that draws it, and the report."""
    from .sheet import Row, carrying, draw_sheet  # need Pillow, which --help must not

    triples = zip(options.prompts, before, after, strict=True)
    told = [("read as " + one, "read as " + two) for one, two in notes] or [()] * len(options.prompts)
    rows = [Row(prompt, [old, new], note) for (prompt, old, new), note in zip(triples, told, strict=True)]
    sheet = draw_sheet(("before", f"after erasing {', '.join(options.concepts)}"), rows)
    sampling, erase = inputs(options)
    about = carrying(fill_in(checkpoint, erase, options.prompts, sampling, NOTE))
    sheet.save(options.out / "before-after.png", pnginfo=about, optimize=True)
    (options.out / "report.txt").write_text(report, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
