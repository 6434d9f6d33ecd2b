"""What a command shows while it works, and how it ends."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from ..edits.edit import Edit

STOPPED = 130  # as shells report a process that Ctrl-C has ended
_SECONDS = 0.1  # between two updates of the line


class ConsoleProgress:
    """Progress on stderr: one line that changes on a terminal, one line a stage elsewhere."""

    def __init__(self) -> None:
        """Starts with no stage."""
        self.stage, self.shown = "", 0.0
        self.live = sys.stderr.isatty()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Shows a stage."""
        if stage != self.stage:
            self.finish()
            self.stage, self.shown = stage, 0.0
            if not self.live:
                sys.stderr.write(f"{stage} …\n")
        now = time.monotonic()
        if self.live and (done == total or now - self.shown > _SECONDS):
            self.shown = now
            sys.stderr.write(f"\r\x1b[K{stage} {done}/{total}")
            sys.stderr.flush()

    def finish(self) -> None:
        """Ends the line."""
        if self.live and self.stage:
            sys.stderr.write("\n")
        self.stage = ""


def complain(sentence: str) -> None:
    """Says on stderr why a command has failed."""
    sys.stderr.write(f"scapre: {sentence}\n")


def note(sentence: str) -> None:
    """Says on stderr what the user should know of the input."""
    sys.stderr.write(f"{sentence}\n")


def say(text: str) -> None:
    """Writes a result to stdout."""
    sys.stdout.write(text + "\n")


def count_of(edit: Edit) -> str:
    """How much an edit erases."""
    plural = "" if len(edit.concepts) == 1 else "s"
    return f"{len(edit.concepts)} concept{plural} erased from {edit.family} ({len(edit.matrices)} matrices)"


def unwind_when_terminated() -> None:
    """Lets SIGTERM clean up as Ctrl-C does, so that no unfinished file is left."""
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
