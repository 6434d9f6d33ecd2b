"""The two hosts' parts know nothing of each other, and the engine knows no host."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMFYUI = {"comfy", "comfy_api", "folder_paths", "nodes", "server", "execution"}
WEB_UI = {"modules", "gradio", "backend", "fastapi", "open_clip", "ldm", "sgm"}


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports, from the root of the pack where it is the pack's."""
    place = file.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*place[: len(place) - node.level + 1], node.module or ""]).strip(".")
            yield base if node.level else str(node.module)
            yield from (f"{base}.{name.name}".strip(".") for name in node.names if node.level)


@pytest.mark.parametrize(("part", "others"), [
    ("scapre", {"scapre_webui", *COMFYUI, *WEB_UI}), ("nodes", {"scapre_webui", *WEB_UI - {"nodes"}}),
    ("scapre_webui", COMFYUI),
])  # fmt: skip
def test_the_arrows_of_imports(part: str, others: set[str]) -> None:
    files = list((ROOT / part).rglob("*.py"))
    assert len(files) > 10
    own = {"nodes"} if part == "nodes" else set()
    found = {(file.name, name) for file in files for name in imported(file) if name.partition(".")[0] in others - own}
    assert found == set()


def test_hosts_of_the_web_ui_are_imported_only_where_they_are_found() -> None:
    """So that what needs no host can be tested without one, and one host's part is not loaded in the other."""
    for name in ("forge", "a1111"):
        users = [
            file.name
            for file in (ROOT / "scapre_webui").rglob("*.py")
            if any(module.endswith(f"hosts.{name}") for module in imported(file))
        ]
        assert users == []


def test_the_script_has_one_class_and_needs_no_search_path() -> None:
    tree = ast.parse((ROOT / "scripts" / "scapre.py").read_text(encoding="utf-8"))
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert classes == ["EraseConcepts"]
    assert set(imported(ROOT / "scripts" / "scapre.py")) == {"importlib", "sys", "types", "pathlib"}


def test_localisations_are_flat_texts() -> None:
    for file in (ROOT / "localizations").glob("*.json"):
        found = json.loads(file.read_text(encoding="utf-8"))
        assert all(isinstance(value, str) for value in found.values())
