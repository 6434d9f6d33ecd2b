"""How a long computation tells its caller where it is, and how it lets itself be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch

T = TypeVar("T")


class Progress(Protocol):
    """Called between steps; it may raise to stop the computation."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Takes the name of the stage and how much of it is done."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Reports nothing and never stops."""


def interruptible(function: Callable[..., T], *args: Any, poll: Callable[[], None], seconds: float = 0.05) -> T:
    """Runs one long library call while `poll` may still raise.

    A factorisation cannot be stopped from outside, so it runs in a thread; when `poll` raises, the caller is free at
    once and the thread's result is dropped.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            with torch.no_grad():
                result.append(function(*args))
        except BaseException as error:  # handed over to the caller below
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        poll()
        thread.join(seconds)
    if failure:
        raise failure[0]
    return result[0]
