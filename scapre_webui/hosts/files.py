"""What tells a file from a later one of its name."""

from __future__ import annotations

from pathlib import Path


def stamp(path: Path) -> tuple[str, int, int, int]:
    """Path, times of the last changes of what it holds and of itself, and size; a file that is gone has none."""
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), status.st_mtime_ns, status.st_ctime_ns, status.st_size
