"""The base directory a server runs in: the pack and models are linked into it, never put in a user's folders."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

PACK_FOLDER = "comfyui-scapre"
PACK_ROOT = Path(__file__).parents[2]
_NOT_PACK = shutil.ignore_patterns(".*", "__pycache__")


def create_base(folder: Path) -> Path:
    """Make `folder` a base directory in which ComfyUI finds this checkout as a custom node pack."""
    for name in ("custom_nodes", "models/checkpoints", "input", "output", "user"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    link(PACK_ROOT, folder / "custom_nodes" / PACK_FOLDER)
    return folder


def add_checkpoint(base: Path, file: Path) -> str:
    """Link a checkpoint into a base directory and return the name ComfyUI knows it by."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no checkpoint {file}")
    link(file.resolve(), base / "models" / "checkpoints" / file.name)
    return file.name


def share_models(base: Path, comfy: Path) -> None:
    """Let a server in `base` also read (only read) the models of a user's ComfyUI."""
    models = comfy / "models"
    folders = {path.name: str(path) for path in sorted(models.iterdir()) if path.is_dir()} if models.is_dir() else {}
    # JSON is YAML too, and quotes whatever a path may hold.
    (base / "models.yaml").write_text(json.dumps({"comfyui": folders}, indent=1), encoding="utf-8")


def link(source: Path, place: Path) -> None:
    """Make `place` stand for `source`: a symbolic link, else what this system grants without special rights."""
    if place.is_symlink() and place.resolve() == source.resolve():
        return
    _remove(place)
    try:
        place.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        if source.is_dir():
            _link_folder(source, place)
        else:
            _link_file(source, place)


def _link_folder(source: Path, place: Path) -> None:
    try:
        import _winapi

        _winapi.CreateJunction(str(source), str(place))  # type: ignore[attr-defined]
    except (ImportError, OSError):
        shutil.copytree(source, place, ignore=_NOT_PACK)


def _link_file(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)


def _remove(place: Path) -> None:
    """Remove a link, a junction or an earlier copy; what a link points to stays."""
    if not os.path.lexists(place):
        return
    try:
        place.unlink()
    except OSError:
        try:
            place.rmdir()  # removes a junction without touching what it points to
        except OSError:
            shutil.rmtree(place)
