"""Commands of the set-up: tried, or run with their output in a log file, and explained when they fail.

Standard library only: the set-up script runs this with whatever Python there is.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class SetupError(Exception):
    """A step of the set-up failed; the message names it."""


def succeeds(command: Sequence[str | Path]) -> bool:
    """Run a quick command and tell whether it worked."""
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def run_step(step: str, command: Sequence[str | Path], logs: Path) -> None:
    """Run one command of the set-up with its output in a log file.

    Raises:
        SetupError: it failed; the message has the step, the command and the last lines of its output.
    """
    say(step)
    words = [str(word) for word in command]
    log = logs / f"{re.sub('[^a-z]+', '-', step.split('(')[0].lower()).strip('-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            status = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode
        except OSError as error:
            raise SetupError(f"{step} failed: {shlex.join(words)} could not be started: {error}") from error
    if status:
        tail = "\n    ".join(log.read_text(errors="replace").splitlines()[-15:])
        end = f"ended with exit status {status}. The last lines of its output ({log}) were:\n    {tail}"
        raise SetupError(f"{step} failed: the command\n    {shlex.join(words)}\n{end}")


def say(text: str) -> None:
    """Tell the user what is being done."""
    print(f"dev.py: {text}", file=sys.stderr, flush=True)
