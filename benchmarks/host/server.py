"""Start a real ComfyUI server without a screen, and stop it again.

Standard library only, so that the set-up script, the tests and the benchmarks share it whatever Python they run in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .base import create_base
from .client import Client, HostError

# Two processes on the same cores, each with threads that wait by spinning, slowed each other down 17 times here.
# Threads that sleep cost 4 % when there is nothing else to run.
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
_FRONTEND = "SCAPRE_FRONTEND"  # another front end's folder `static`, in the place of the host's own
_ACCELERATOR = "import torch; print(torch.cuda.is_available() or torch.backends.mps.is_available())"


class ServerFailed(HostError):
    """The server did not start, or died."""


class Server(Client):
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
        self.log = log or base / "server.log"
        self.extra = list(extra)
        self.process: subprocess.Popen[bytes] | None = None
        super().__init__(f"http://127.0.0.1:{self.port}")

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

    def start(self, timeout: float = 300.0) -> Server:
        """Start the process and wait until it answers.

        Raises:
            ServerFailed: it ended, or did not answer in time; the message has the last lines of its output.
        """
        with self.log.open("wb") as output:
            self.process = _spawn(self.command(), self.comfy, output)
        try:
            self._await_ready(timeout)
        except BaseException:  # an interrupt by the user must not leave a server behind either
            self.stop()
            raise
        return self

    def _await_ready(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with contextlib.suppress(HostError):
                self.get("/system_stats")
                return
            self.check_alive()
            time.sleep(0.1)
        raise ServerFailed(f"ComfyUI did not answer within {timeout:.0f} s. {self.last_output()}")

    def check_alive(self) -> None:
        """Raise ServerFailed when the process has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise ServerFailed(f"ComfyUI ended with exit status {self.process.returncode}. {self.last_output()}")

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """As the client's; a server that died is reported with its last words."""
        try:
            return super().history(prompt_id)
        except HostError:
            self.check_alive()
            raise

    def last_output(self, lines: int = 25) -> str:
        """Return the end of the log, as a sentence for error messages."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        return f"The last lines of {self.log}:\n" + "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """End the process and all it started; the port is free afterwards."""
        process, self.process = self.process, None
        if process is None:
            return
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            process.wait()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def has_accelerator(python: str | Path) -> bool:
    """Ask torch, in the interpreter that will run ComfyUI, whether a GPU can be used."""
    result = subprocess.run([str(python), "-c", _ACCELERATOR], capture_output=True, text=True)
    return result.stdout.strip() == "True"


def stop_on_terminate() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that a terminated script stops its server."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _spawn(command: list[str], folder: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start in a process group of its own: one signal reaches all of it, and Ctrl-C reaches only us."""
    group: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=_PATIENT | os.environ,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        **group,
    )


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    if os.name == "nt":
        process.terminate()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
