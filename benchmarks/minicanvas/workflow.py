"""A workflow that opens ready to run on MiniCanvas: one of the pack's own, with this model's names and sizes in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..graphs import Sampling
from ..host.base import PACK_ROOT

SOURCE = PACK_ROOT / "example_workflows" / "erase-a-style.json"
NAME, PACK = "erase-a-style-from-minicanvas", "minicanvas"
CONCEPTS, KEPT = ("Arlo Vane", "star"), "Mina Okoro\nBram Decker"
PROMPTS = "a blue house in the style of Arlo Vane\na red star\na green fish in the style of Mina Okoro"
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
    workflow = adapt(json.loads(SOURCE.read_text(encoding="utf-8")), checkpoint)
    file.write_text(json.dumps(workflow, indent=1), encoding="utf-8")
    return file


def adapt(workflow: dict[str, Any], checkpoint: str, sampling: Sampling = Sampling()) -> dict[str, Any]:  # noqa: B008
    """Return a workflow of the pack for this model: its checkpoint, size, guidance, prompt and concepts."""
    from .world import ARTIST_NAMES, OBJECTS

    listed = {"objects": ", ".join(OBJECTS), "artists": ", ".join(ARTIST_NAMES)}
    for node in workflow["nodes"]:
        values = node.get("widgets_values")
        match node["type"]:
            case "MarkdownNote":
                values[0] = NOTE.format(**listed)
            case "CheckpointLoaderSimple":
                values[0] = checkpoint
                node["properties"].pop("models", None)
            case "ScaPreEraseConcepts":
                values[:4] = "\n".join(CONCEPTS), "", KEPT, "objects-few"
            case "ScaPreBeforeAfter":
                values[:2] = PROMPTS, ""
                values[4:] = sampling.steps, sampling.cfg, "euler", "normal", sampling.size, sampling.size
    return workflow
