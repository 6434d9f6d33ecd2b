"""The pack's template for a style, with another model, other names and other prompts in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .graphs import ERASE_NODE, Sampling
from .host.base import PACK_ROOT

_SOURCE = PACK_ROOT / "example_workflows" / "erase-a-style.json"
_PRESET, _METHOD = "auto", "auto"
_METHOD_PLACE = 25  # among the values of the erase node


def fill_in(
    checkpoint: str, erase: Mapping[str, Any], prompts: Sequence[str], sampling: Sampling, note: str
) -> dict[str, Any]:
    """Return a workflow that opens in the graph and draws what `text_to_image` draws, before and after.

    Args:
        checkpoint: a name in models/checkpoints.
        erase: values of the erase node: concepts, and anchor, preserve, preset and method where they are not the
            node's own.
        prompts: what to draw.
        sampling: size, steps, guidance and seed.
        note: Markdown that stands beside the nodes.
    """
    workflow: dict[str, Any] = json.loads(_SOURCE.read_text(encoding="utf-8"))
    (noted, loader, eraser, pair) = (
        next(node for node in workflow["nodes"] if node["type"] == kind)
        for kind in ("MarkdownNote", "CheckpointLoaderSimple", ERASE_NODE, "ScaPreBeforeAfter")
    )
    noted["widgets_values"][0] = note
    loader["widgets_values"][0] = checkpoint
    loader["properties"].pop("models", None)
    names = erase["concepts"], erase.get("anchor", ""), erase.get("preserve", ""), erase.get("preset", _PRESET)
    eraser["widgets_values"][:4] = names
    eraser["widgets_values"][_METHOD_PLACE] = erase.get("method", _METHOD)
    pair["widgets_values"][:3] = "\n".join(prompts), "", sampling.seed
    pair["widgets_values"][4:] = sampling.steps, sampling.cfg, "euler", "normal", sampling.size, sampling.size
    return workflow
