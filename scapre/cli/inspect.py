"""Show what is in an edit file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..edits.edit import Edit
from ..files import read_edit
from ..states.readings import once
from .console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what it takes."""
    parser.add_argument("edit", type=Path, metavar="FILE", help="an edit file")
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Reads and shows."""
    found = describe(read_edit(options.edit))
    say(json.dumps(found, ensure_ascii=False, indent=1) if options.json else "\n".join(table(found)))
    return 0


def describe(edit: Edit) -> dict[str, Any]:
    """What an edit is, as JSON has it."""
    return {
        "family": edit.family,
        "fingerprint": edit.fingerprint,
        "pack_version": edit.version,
        "seed": edit.seed,
        "method": edit.method,
        "settings": asdict(edit.settings),
        "concepts": [{"concept": concept.text, "anchor": concept.anchor} for concept in edit.concepts],
        "preserve": list(edit.preserve),
        "templates": list(once(edit.templates)),
        "kept": dict(edit.report.kept),
        "remaining": dict(edit.report.remaining),
        "drift": dict(edit.report.drift),
        "matrices": {name: list(shape) for name, shape in edit.matrices.items()},
        "bytes": edit.nbytes,
        "unanchored": "its kin" if edit.solver.kin else "nothing" if edit.solver.draws else "(empty prompt)",
        "notes": list(edit.report.notes),
    }


def table(found: dict[str, Any]) -> Iterator[str]:
    """The same as lines of text; settings that a variant does not use are told too."""
    yield f"Model family   {found['family']} ({len(found['matrices'])} matrices)"
    yield f"Fingerprint    {found['fingerprint']}"
    yield f"Made by        ScaPre {found['pack_version']}, seed {found['seed']}"
    yield f"Size           {found['bytes'] / 1e6:.1f} MB"
    yield "Settings       " + ", ".join(f"{name} {_plain(value)}" for name, value in found["settings"].items())
    yield "Templates      " + ", ".join(found["templates"])
    yield "Preserved      " + (", ".join(found["preserve"]) or "(none)")
    yield ""
    yield "  kept    concept -> anchor"
    for entry in found["concepts"]:
        kept = found["kept"].get(entry["concept"])
        share = "     -" if kept is None else f"{kept:6.3f}"
        yield f"{share}    {entry['concept']} -> {entry['anchor'] or found['unanchored']}"


def _plain(value: Any) -> str:
    return ("off", "on")[value] if isinstance(value, bool) else str(value)
