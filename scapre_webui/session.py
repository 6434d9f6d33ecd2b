"""The life of an edit in one generation: solved, put on, put on again after every switch, and taken off."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..scapre.errors import ScaPreError
from ..scapre.progress import Progress
from . import infotext
from .arithmetic import exact
from .choices import Choices
from .guard import Guard
from .hosts import loaded
from .hosts.loaded import LoadedModel
from .solving import Solved, Solver

log = logging.getLogger("scapre")


class Interrupted(Exception):
    """The user has interrupted; raised by what is told of the progress."""


@dataclass(frozen=True)
class Outcome:
    """What the last generation came to: a report as Markdown, or why there is none."""

    text: str
    failed: bool = False


class Session:
    """One generation at a time, as the hosts have it. Nothing it does raises: what fails ends the generation.

    Attributes:
        solver: Remembers edits between generations.
        outcome: Of the last generation.
        begun: Whether an edit has been put on in this generation.
    """

    def __init__(
        self, progress: Progress, stop: Callable[[], None], find: Callable[[Any], LoadedModel] = loaded
    ) -> None:
        """Begins with nothing.

        Args:
            progress: Told each step of a solve; may raise `Interrupted`.
            stop: Ends the generation without pictures, where no guard can stand before the model.
            find: Gives what this pack needs of a host's model.
        """
        self.solver, self.outcome = Solver(), Outcome("")
        self._progress, self._stop, self._find = progress, stop, find
        self._choices: Choices | Exception | None = None
        self._guard: Guard | None = None
        self._on = self.begun = False
        self._take_off: Callable[[], None] | None = None
        self._told: set[str] = set()

    @property
    def active(self) -> bool:
        """Whether a generation is to be erased."""
        return self._choices is not None

    def begin(self, p: Any, choose: Callable[[], Choices]) -> None:
        """A generation begins: nothing of an earlier one is left, and its model does not draw before the edit is on.

        Args:
            p: The host's processing.
            choose: Gives what the panel says, or raises.
        """
        self.end()
        self._told.clear()
        _forget(p)
        try:
            choices: Choices | Exception = choose()
        except Exception as error:  # whatever it is: the host would print it and draw
            choices = error
        if isinstance(choices, Choices) and not choices.enabled:
            return
        self._choices = choices
        self.switched(p.sd_model)
        if isinstance(choices, Choices):
            p.extra_generation_params.update(infotext.written(choices))  # the host keeps them for its next start

    def switched(self, model: Any) -> None:
        """The host has loaded a model, perhaps into the modules of the last one: it does not draw before its edit."""
        if not self.active:
            return
        self._off()
        if guard := self._stand_before(model):
            guard.close()

    def put(self, p: Any) -> None:
        """The host is about to draw with the model that is loaded now."""
        if not self.active:
            return
        self._off()
        guard = self._stand_before(p.sd_model)
        if guard is None:
            return
        guard.close()
        try:
            if not isinstance(self._choices, Choices):
                raise self._choices or ScaPreError("model: no generation has begun.")
            with exact():
                model = self._find(p.sd_model)
                solved = self.solver(model, self._choices, self._progress)
                self._take_off = model.put(solved.edit, self._choices.strength, solved.digest)
        except Interrupted:
            _forget(p)
        except Exception as error:  # whatever it is, no picture may be drawn as if it had not been
            self._fail(p, guard, error)
        else:
            self._on = self.begun = True
            guard.open()
            self._tell(p, solved, self._choices)

    def is_on(self, model: Any) -> bool:
        """Whether the edit is on this very model."""
        return self._on and self._guard is not None and self._guard.model is self._module(model)

    def end(self) -> None:
        """The generation has ended: every model is as it was."""
        self._off()
        self._choices, self.begun = None, False
        if self._guard:
            self._guard.remove()
            self._guard = None

    def _off(self) -> None:
        take_off, self._take_off = self._take_off, None
        self._on = False
        if take_off:
            take_off()

    def _stand_before(self, model: Any) -> Guard | None:
        """One model draws at a time; the last one is let go, so that the host can give its memory back."""
        try:
            module = self._module(model)
            if self._guard is None or self._guard.model is not module:
                if self._guard:
                    self._guard.remove()
                self._guard = Guard(module)
        except Exception as error:
            log.exception("nothing can stand before this model, so the generation is ended")
            self._guard, self.outcome = None, Outcome(f"model: {error}", failed=True)
            self._stop()
        return self._guard

    def _module(self, model: Any) -> Any:
        """The module that draws, of whatever host or kind the model is."""
        try:
            return self._find(model).unet
        except (ScaPreError, AttributeError):
            unet = getattr(getattr(model, "forge_objects", None), "unet", None)
            inner = getattr(unet, "model", None) or getattr(model, "model", model)
            return getattr(inner, "diffusion_model", inner)

    def _tell(self, p: Any, solved: Solved, choices: Choices) -> None:
        """What the picture, the page under it, and the panel say."""
        p.extra_generation_params.update(infotext.written(choices))
        p.extra_generation_params[infotext.EDIT] = solved.digest[:12]
        if solved.file_hash:
            p.extra_generation_params[infotext.FILE_HASH] = solved.file_hash[:12]
        for line in (f"ScaPre: {solved.about}, strength {choices.strength:g}", *solved.remarks):
            if line not in self._told:
                self._told.add(line)
                p.comment(line)
        self.outcome = Outcome(solved.report(choices.strength))

    def _fail(self, p: Any, guard: Guard, error: Exception) -> None:
        if not isinstance(error, ScaPreError):
            log.exception("the edit could not be put on")
            error = ScaPreError(
                f"edit: {type(error).__name__}: {error}. The edit could not be put on the model, so that nothing was "
                "drawn. Switch ScaPre off to draw without it; the console has the details."
            )
        guard.close(error)
        _forget(p)
        self.outcome = Outcome(str(error), failed=True)


def _forget(p: Any) -> None:
    """A picture that is not erased does not say that it is. Cells of a plot share a table, so this one gets its own."""
    kept = {key: value for key, value in p.extra_generation_params.items() if key not in infotext.KEYS}
    p.extra_generation_params = kept
