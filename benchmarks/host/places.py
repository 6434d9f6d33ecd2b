"""Where ComfyUI, the cache and the base directories are; `dev.py` sets the environment variables read here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .base import PACK_ROOT


def comfy_root() -> Path:
    """Return the ComfyUI folder to run.

    Raises:
        FileNotFoundError: COMFYUI_PATH names none.
    """
    named = os.environ.get("COMFYUI_PATH")
    if not named or not (Path(named) / "main.py").is_file():
        raise FileNotFoundError(
            f"COMFYUI_PATH is {named or 'not set'}, which is not a ComfyUI folder: start this with dev.py"
        )
    return Path(named)


def cache_folder() -> Path:
    """Return the folder that everything generated and downloaded is kept in."""
    return Path(os.environ.get("SCAPRE_CACHE") or Path.home() / ".cache" / "scapre").absolute()


def base_folder(use: str) -> Path:
    """Return the base directory for one use; checkouts that share a cache do not share it."""
    checkout = hashlib.sha256(str(PACK_ROOT).encode()).hexdigest()[:8]
    return cache_folder() / "bases" / f"{use}-{checkout}"
