"""What lives as long as the web UI does: *Reload UI* runs the script anew, and leaves this as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from modules import sd_models, shared
from modules.call_queue import queue_lock

from ..scapre.concepts.name_check import NameCheck
from ..scapre.errors import ScaPreError
from . import places
from .arithmetic import exact
from .choices import Choices
from .hosts import loaded
from .measure import name_check
from .session import Interrupted, Session


@dataclass(frozen=True)
class Saved:
    """An edit file that was written, and what is in it."""

    name: str
    about: str
    report: str
    digest: str


class State:
    """The session, and what the panel and programs ask for beside it."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self.session = Session(_progress, shared.state.interrupt)

    @cached_property
    def names(self) -> NameCheck | None:
        """Reviews lists."""
        return name_check()

    def erase(self, values: Sequence[Any], name: str) -> Saved:
        """Solves for the model that is chosen and writes the edit; waits for its turn among the pictures.

        Raises:
            ScaPreError: If there is no such edit, or it cannot be written under this name.
        """
        choices = Choices.of(values)
        with queue_lock:
            shared.state.begin("scapre")
            try:
                model = loaded(_chosen_model())
                with exact(), model.alone():
                    solved = self.session.solver(model, choices, _progress)
                written = places.save(solved.edit, name)
            except Interrupted:
                raise ScaPreError("erase: it was interrupted, and nothing was written. Ask for it again.") from None
            finally:
                shared.state.end()
                done()
        return Saved(written, solved.about, solved.report(choices.strength), solved.digest)


def _chosen_model() -> Any:
    """The model of the page's choice, which Forge loads at the first picture only."""
    if hasattr(sd_models, "forge_model_reload"):
        sd_models.forge_model_reload()
    return shared.sd_model


def done() -> None:
    """What was said of the progress is said no longer."""
    shared.state.textinfo = None


def _progress(stage: str, done: int, total: int) -> None:
    if shared.state.interrupted or shared.state.skipped:
        raise Interrupted
    shared.state.textinfo = f"ScaPre: {stage} {done}/{total}"


STATE = State()
