"""Start a real ComfyUI server without a screen, and stop it again.

Standard library only, so that the set-up script, the tests and the benchmarks share it whatever Python they run in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base import create_base
from .client import Client, HostError
from .process import Process, ServerFailed, free_port, stop_on_terminate

__all__ = ["Server", "ServerFailed", "free_port", "has_accelerator", "stop_on_terminate"]

_FRONTEND = "SCAPRE_FRONTEND"  # another front end's folder `static`, in the place of the host's own
_ACCELERATOR = "import torch; print(torch.cuda.is_available() or torch.backends.mps.is_available())"


class Server(Process, Client):
    """One ComfyUI process serving this pack; use it as a context manager.

    Args:
        comfy: the ComfyUI folder, with `main.py`.
        base: a base directory of our own; made when missing. Nothing is written into `comfy`.
        python: an interpreter that can run ComfyUI.
        port: 0 picks a free one.
        cpu: run without an accelerator; None asks torch whether there is one.
        log: the file for the server's output; `server.log` in the base directory by default.
        extra: more arguments for `main.py`.
    """

    def __init__(
        self,
        comfy: Path,
        base: Path,
        *,
        python: str | Path = sys.executable,
        port: int = 0,
        cpu: bool | None = None,
        log: Path | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self.comfy, self.base, self.python = comfy, create_base(base), python
        self.port = port or free_port()
        self.cpu = not has_accelerator(python) if cpu is None else cpu
        self.extra = list(extra)
        Process.__init__(self, "ComfyUI", comfy, log or base / "server.log")
        Client.__init__(self, f"http://127.0.0.1:{self.port}")

    def command(self) -> list[str]:
        """Return the command line: only the base directory's packs, no API nodes, nothing kept elsewhere."""
        packs = sorted(folder.name for folder in (self.base / "custom_nodes").iterdir())
        wanted = ["--whitelist-custom-nodes", *packs] if packs else []
        options = ["--base-directory", str(self.base), "--port", str(self.port), *self.extra]
        options += ["--disable-all-custom-nodes", *wanted, "--disable-api-nodes"]
        options += ["--database-url", "sqlite:///:memory:", "--disable-auto-launch"]
        if frontend := os.environ.get(_FRONTEND):
            options += ["--front-end-root", str(Path(frontend).expanduser().absolute())]
        models = self.base / "models.yaml"
        if models.is_file():
            options += ["--extra-model-paths-config", str(models)]
        return [str(self.python), str(self.comfy / "main.py"), *options, *(["--cpu"] if self.cpu else [])]

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            self.get("/system_stats")
        except HostError:
            return False
        return True

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """As the client's; a server that died is reported with its last words."""
        try:
            return super().history(prompt_id)
        except HostError:
            self.check_alive()
            raise


def has_accelerator(python: str | Path) -> bool:
    """Ask torch, in the interpreter that will run ComfyUI, whether a GPU can be used."""
    result = subprocess.run([str(python), "-c", _ACCELERATOR], capture_output=True, text=True)
    return result.stdout.strip() == "True"
