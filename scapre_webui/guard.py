"""What stands before a diffusion model until an edit is on it: without one, no picture is drawn."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..scapre.errors import ScaPreError

NOT_YET = (
    "model: something draws with it before the edit could be put on it, so the picture would not be erased. Switch off "
    "the script or extension that does so, or ScaPre."
)


class Guard:
    """Ends the generation with a reason instead of letting a model draw unerased.

    These hosts print what a script raises and go on. What is raised inside the model ends the generation, with the
    reason in the page and in the answer to a program.
    """

    def __init__(self, model: nn.Module) -> None:
        """Stands before a model."""
        self.model = model
        self._reason: Exception | None = ScaPreError(NOT_YET)
        self._hook = model.register_forward_pre_hook(self._check)

    def open(self) -> None:
        """The edit is on the model."""
        self._reason = None

    def close(self, reason: Exception | None = None) -> None:
        """The edit is not on the model."""
        self._reason = reason or ScaPreError(NOT_YET)

    def remove(self) -> None:
        """Leaves the model as it was."""
        self._hook.remove()

    def _check(self, module: nn.Module, inputs: Any) -> None:
        if self._reason is not None:
            raise self._reason
