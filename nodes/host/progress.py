"""A node's progress, and the host's Cancel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import comfy.model_management as management
import comfy.utils

from ...scapre.states.further import is_layer
from .server import prompt_server

SOLVING_STAGES = {"text encoding": (0.0, 0.4), "statistics": (0.4, 0.55), "solve": (0.55, 1.0), "export": (0.0, 1.0)}
LAYERED_STAGES = {
    "text encoding": (0.0, 0.03), "statistics": (0.03, 0.03), "solve": (0.03, 0.04), "layers": (0.04, 1.0),
}  # fmt: skip
"""Of what solves an edit for a model that reads many layers of a language model."""
ASKING_STAGES = {
    "text encoding": (0.0, 0.1), "statistics": (0.1, 0.12), "solve": (0.12, 0.13), "layers": (0.13, 0.2),
    "drawing": (0.2, 0.3),
    "original": (0.3, 0.4), "edited": (0.4, 1.0),
}  # fmt: skip
"""Of what solves an edit, and then asks the model at some strengths."""
DRAWING_STAGES = {
    "text encoding": (0.0, 0.02), "drawing": (0.02, 0.96), "selection": (0.96, 0.98), "statistics": (0.98, 0.98),
    "solve": (0.98, 1.0),
}  # fmt: skip
"""Of what watches the model draw, which takes nearly all of the time."""
TRAINING_STAGES = {
    "text encoding": (0.0, 0.01), "prompts": (0.01, 0.03), "holding": (0.03, 0.1), "training": (0.03, 0.99),
    "statistics": (0.99, 0.99),
    "solve": (0.99, 1.0),
}  # fmt: skip
"""Of what trains the model."""
PROBE_STAGES = {
    "drawing": (0.0, 0.3), "original": (0.3, 0.64), "edited": (0.64, 0.99), "report": (0.99, 1.0),
    "statistics": (0.99, 1.0),
}  # fmt: skip
"""Of what only asks models."""


def stages_of(further: Iterable[str]) -> Mapping[str, tuple[float, float]]:
    """The stages of what solves an edit with these parts."""
    return LAYERED_STAGES if any(map(is_layer, further)) else SOLVING_STAGES


class HostProgress:
    """Progress on the node, and the host's Cancel."""

    def __init__(self, node_id: str | None, stages: Mapping[str, tuple[float, float]] = SOLVING_STAGES) -> None:
        """Shows progress on the node of this id; `stages` are parts of the bar."""
        self._stages, self.node_id, self.stage, self.share = stages, node_id, "", 0.0
        self.bar = comfy.utils.ProgressBar(1000, node_id=node_id)

    def say(self, text: str) -> None:
        """Shows a line of text on the node, where there is a server to show it."""
        server = prompt_server()
        if server is not None and self.node_id is not None:
            server.send_progress_text(text, self.node_id)

    def show(self, picture: tuple[str, Any, int] | None) -> None:
        """Shows a picture on the node: its format, itself and its largest side."""
        if picture is not None:
            self.bar.update_absolute(round(1000 * self.share), preview=picture)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Moves the bar; raises the host's interruption when the user has cancelled."""
        management.throw_exception_if_processing_interrupted()
        if stage != self.stage:
            self.stage = stage
            self.say(f"{stage} …")
        start, end = self._stages.get(stage, self._stages["statistics"])  # a method may have stages of its own
        self.share = max(self.share, start + (end - start) * done / max(total, 1))  # a stage may have several parts
        self.bar.update_absolute(round(1000 * self.share))
