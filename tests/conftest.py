"""Import the checkout as `pack`, the real ComfyUI beside it, and serve both.

The root of this repository is a package with relative imports and a folder `nodes/`. On the search path it would be
imported under the checkout's name and hide ComfyUI's `nodes.py`, so it is taken off, and `pack` stands for it.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Before torch is imported: threads that wait should not keep a core from the server that is being tested.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _register_pack() -> None:
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    pack = types.ModuleType("pack")
    pack.__path__ = [str(ROOT)]
    sys.modules["pack"] = pack


def _register_comfyui() -> None:
    """Put ComfyUI on the search path, on the CPU: the choice must precede the import of its memory management."""
    from pack import dev
    from pack.benchmarks.host.places import cache_folder

    comfy = Path(os.environ.get("COMFYUI_PATH") or cache_folder() / dev.COMFY_FOLDER)
    if not dev.is_comfyui(comfy):
        raise SystemExit(  # not an Exception, which pytest would show with a traceback
            f"The tests need a real ComfyUI, and {comfy} is none. Run them with `python dev.py test`, "
            "or set COMFYUI_PATH and use a Python that can run it."
        )
    os.environ["COMFYUI_PATH"] = str(comfy)
    sys.path.insert(0, str(comfy))
    from comfy.cli_args import args

    args.cpu = True


_register_pack()
_register_comfyui()  # now, since the conftest of a folder that is named on the command line is imported next


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes that run these tests."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def user_folder(shared: Path) -> Path:
    """Where the host in this process keeps what is a user's: nothing is written into a ComfyUI that has one."""
    import folder_paths

    folder = shared / "user"
    folder.mkdir(exist_ok=True)
    folder_paths.set_user_directory(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Path:
    """A generated checkpoint in SD1.5's format that the stock loader opens, kept between sessions."""
    from pack.tests.host.tiny_checkpoint import cached_checkpoint

    return cached_checkpoint()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, shared: Path, tiny_checkpoint: Path) -> Iterator[object]:
    """A running ComfyUI with this pack and the tiny checkpoint, in a base directory whose path has a space.

    All such servers share what they have once read of a text encoder.
    """
    from pack.benchmarks.host.base import add_checkpoint, link
    from pack.benchmarks.host.places import comfy_root
    from pack.benchmarks.host.server import Server

    running = Server(comfy_root(), tmp_path_factory.mktemp("base") / "with space")
    add_checkpoint(running.base, tiny_checkpoint)
    (shared / "read").mkdir(exist_ok=True)
    link(shared / "read", running.base / "user" / "scapre")
    with running:
        yield running
