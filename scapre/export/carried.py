"""What of a checkpoint's own metadata goes into the file with the edit: nothing that shows the model before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from ..edits.edit import Edit

_HASHES = ("modelspec.hash_", "sshs_")  # of the weights before
_EARLIER = "scapre."  # of an edit that the checkpoint had already; the new one's take its place
_PICTURES = ("modelspec.thumbnail", "ssmd_cover_images")
_EMBEDDED = "data:image/"
_GRAPHS = ("prompt", "workflow", "parameters")  # ComfyUI's and A1111's: they hold the list of names
_BETWEEN = re.compile(r"[\s_\-]+")


def carried(metadata: Mapping[str, str], edit: Edit, names: bool) -> tuple[dict[str, str], tuple[str, ...]]:
    """The entries to keep, and what to say of those left out.

    Args:
        metadata: Of the checkpoint.
        edit: What is written into it.
        names: Whether the file may tell the concepts.
    """
    kept = {key: text for key, text in metadata.items() if not key.startswith((*_HASHES, _EARLIER))}
    shown = [key for key, text in kept.items() if key in _PICTURES or _EMBEDDED in text]
    told = [] if names else [key for key, text in kept.items() if key in _GRAPHS or _tells(f"{key} {text}", edit)]
    notes = (
        *_left_out(shown, "they show the model before"),
        *_left_out([key for key in told if key not in shown], "they may tell the names"),
    )
    return {key: text for key, text in kept.items() if key not in {*shown, *told}}, notes


def _left_out(keys: Iterable[str], why: str) -> tuple[str, ...]:
    listed = ", ".join(key[:60] for key in list(keys)[:8])
    return (f"entries of the file's metadata were left out, since {why}: {listed}.",) if listed else ()


def _tells(text: str, edit: Edit) -> bool:
    """Whether a text has one of the edit's names in it, however it is spelled or escaped."""
    names = {*(name for c in edit.concepts for name in (c.text, c.anchor)), *edit.preserve} - {""}
    plain = _BETWEEN.sub(" ", text).casefold()
    forms = {form for name in names for form in (name, json.dumps(name)[1:-1])}
    return any(re.search(rf"(?<!\w){re.escape(_BETWEEN.sub(' ', form).casefold())}(?!\w)", plain) for form in forms)
