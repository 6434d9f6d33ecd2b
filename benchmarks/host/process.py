"""A server process of its own: started, waited for, and stopped with all it has started.

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
from pathlib import Path
from typing import IO, Any

from .client import HostError

# Two processes on the same cores, each with threads that wait by spinning, slowed each other down 17 times here.
# Threads that sleep cost 4 % when there is nothing else to run.
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


class ServerFailed(HostError):
    """The server did not start, or died."""


class Process:
    """One server process; use it as a context manager.

    Args:
        title: what messages call it.
        folder: the folder it runs in.
        log: the file for its output.
    """

    def __init__(self, title: str, folder: Path, log: Path) -> None:
        self.title, self.folder, self.log = title, folder, log
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return the environment variables that it is started with."""
        return _PATIENT | os.environ

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        raise NotImplementedError

    def start(self, timeout: float = 300.0) -> Any:
        """Start the process and wait until it answers.

        Raises:
            ServerFailed: it ended, or did not answer in time; the message has the last lines of its output.
        """
        with self.log.open("wb") as output:
            self.process = _spawn(self.command(), self.folder, output, self.environment())
        try:
            self._await_ready(timeout)
        except BaseException:  # an interrupt by the user must not leave a server behind either
            self.stop()
            raise
        return self

    def _await_ready(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.is_ready():
                return
            self.check_alive()
            time.sleep(0.1)
        raise ServerFailed(f"{self.title} did not answer within {timeout:.0f} s. {self.last_output()}")

    def check_alive(self) -> None:
        """Raise ServerFailed when the process has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise ServerFailed(f"{self.title} ended with exit status {self.process.returncode}. {self.last_output()}")

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

    def __enter__(self) -> Any:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop_on_terminate() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that a terminated script stops its server."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _spawn(command: list[str], folder: Path, output: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start in a process group of its own: one signal reaches all of it, and Ctrl-C reaches only us."""
    group: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
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
