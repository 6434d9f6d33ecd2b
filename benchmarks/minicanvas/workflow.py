"""A workflow that opens ready to run on MiniCanvas: one of the pack's own, with this model's names and sizes in it."""

from __future__ import annotations

import json
from pathlib import Path

from ..graphs import Sampling
from ..template import fill_in
from .world import ARTIST_NAMES, OBJECTS

NAME, PACK = "erase-a-style-from-minicanvas", "minicanvas"
CONCEPTS, KEPT = ("Arlo Vane", "star"), "Mina Okoro\nBram Decker"
PROMPTS = ("a blue house in the style of Arlo Vane", "a red star", "a green fish in the style of Mina Okoro")
NOTE = (
    "## MiniCanvas\n\nA small model of a drawn world: {objects}, in ten colours, plain or in the style of "
    "{artists}.\n\n"
    "Press **Run**: **Before and After** draws each prompt twice from one seed, without and with the edit; drag the "
    "slider. The report appears in **Erase Concepts**. Then type other names there, or ask for something else.\n"
)
"""What the note in the workflow says."""


def fill(folder: Path, checkpoint: str) -> Path:
    """Write the workflow into a folder of custom nodes, as a pack that has a template and no nodes.

    The server offers the templates of packs that it has loaded, so it must be there when the server starts.

    Returns:
        The template's file.
    """
    file = folder / PACK / "example_workflows" / f"{NAME}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    (folder / PACK / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n", encoding="utf-8")
    note = NOTE.format(objects=", ".join(OBJECTS), artists=", ".join(ARTIST_NAMES))
    workflow = fill_in(
        checkpoint, {"concepts": "\n".join(CONCEPTS), "preserve": KEPT}, PROMPTS, Sampling(seed=1234), note
    )
    file.write_text(json.dumps(workflow, indent=1), encoding="utf-8")
    return file
