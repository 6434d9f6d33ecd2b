"""Erasing in a part of the sampling: what layers answer is changed while the noise is in a range, and no weight is.

A wrapper of the host's stands around every call of the model. Where the noise and the prompts are those that are meant,
it hooks on to some layers for that call. So any other patch, hook, adapter or memory mode is what it is elsewhere, and
nothing is left behind on the model.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from ...scapre.adavd import directions, without
from ...scapre.edits.edit import Edit
from ...scapre.errors import ScaPreError
from ...scapre.families import part
from .adapter import Copies
from .chain import chain
from .injection import Moved, evaluated

CONDITIONINGS: dict[str, frozenset[int] | None] = {"both": None, "positive": frozenset({0}), "negative": frozenset({1})}
"""Which prompts are changed, by where a sampler has them; None for all."""
_COMPILED = "torch.compile"  # the host's key
_asking: ContextVar[Change | None] = ContextVar("asking", default=None)
Answer = Callable[[Any, tuple[Any, ...], Tensor], Tensor]


@dataclass(frozen=True)
class When:
    """When a model is changed.

    Attributes:
        start: Where it begins, as a share of the sampling.
        end: Where it ends.
        conditioning: A key of `CONDITIONINGS`.

    Raises:
        ScaPreError: If there is nothing between them.
    """

    start: float
    end: float
    conditioning: str

    def __post_init__(self) -> None:
        """Checks the shares."""
        if not 0 <= self.start < self.end <= 1:
            raise ScaPreError(
                f"start_percent: {self.start:g} is not before end_percent, {self.end:g}. Give shares of the sampling, "
                "the first less than the second, both from 0 to 1."
            )

    def sigmas(self, sampling: Any) -> tuple[float, float]:
        """The greatest and the least σ.

        Args:
            sampling: The host's, of the model that is drawn with: nodes behind this one may have changed it.
        """
        return float(sampling.percent_to_sigma(self.start)), float(sampling.percent_to_sigma(self.end))

    def holds(self, sigma: Tensor, sampling: Any) -> bool:
        """Whether it is now."""
        first, last = self.sigmas(sampling)
        return last <= float(sigma.flatten()[0]) <= first

    def chosen(self, given: Sequence[int]) -> list[int]:
        """Places of the prompts that are meant, in a batch of prompts that a sampler has at these."""
        wanted = CONDITIONINGS[self.conditioning]
        return [place for place, which in enumerate(given) if wanted is None or which in wanted]


class Change(ABC):
    """What is done to the answers of some layers.

    Attributes:
        edit: The edit that it is, if it is one.
    """

    edit: Edit | None = None

    @abstractmethod
    def answers(self, network: Any) -> dict[str, list[Answer]]:
        """By the name of a layer, functions of the layer, its inputs and its answer: a new answer.

        Args:
            network: The host's model, loaded.
        """

    @abstractmethod
    def drop(self, *_: Any) -> None:
        """Lets go of what it holds on a device."""


def change_while_sampling(model: Any, change: Change, when: When) -> Any:
    """A clone of the model that is changed only then.

    Raises:
        ScaPreError: If the model is compiled.
    """
    _check_not_compiled(model.wrappers)
    clone = model.clone()
    key = f"scapre {uuid.uuid4().hex}"
    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, key, Wrapper(change, when))
    for event in (CallbacksMP.ON_LOAD, CallbacksMP.ON_CLEANUP):
        clone.add_callback_with_key(event, key, change.drop)
    return clone


def edits_while_sampling(model: Any) -> Iterator[Edit]:
    """The edits that a model applies while it is sampled."""
    wrappers = model.wrappers.get(WrappersMP.APPLY_MODEL, {}).values()
    found = (one.edit for some in wrappers for one in some if isinstance(one, Wrapper))
    return (edit for edit in found if edit is not None)


def _check_not_compiled(wrappers: Mapping[str, Any]) -> None:
    if _COMPILED in wrappers.get(WrappersMP.APPLY_MODEL, {}):
        raise ScaPreError(
            "model: it is compiled, and compiled code passes over what is changed while sampling. Leave "
            "TorchCompileModel out, or use Erase Concepts, whose edit is in the weights."
        )


class Wrapper:
    """Stands around a call of the host's model.

    Attributes:
        edit: The edit that it applies, if it does.
    """

    def __init__(self, change: Change, when: When) -> None:
        """Takes what is done, and when."""
        self._change, self._when, self.edit = change, when, change.edit

    def __call__(self, executor: Any, x: Tensor, t: Tensor, *more: Any, **named: Any) -> Any:
        """Calls it, with hooks on its layers where that is meant."""
        options = named.get("transformer_options") or (more[3] if len(more) > 3 else {})
        given, network = options.get("cond_or_uncond", [0]), executor.class_obj
        chosen = self._when.chosen(given)
        if not chosen or not self._when.holds(t, network.model_sampling):
            return executor(x, t, *more, **named)
        _check_not_compiled(options.get("wrappers", {}))
        with ExitStack() as hooks:
            for layer, answers in self._change.answers(network).items():
                for answer in answers:
                    hook = _hook(self._change, answer, chosen, len(given))
                    hooks.callback(network.get_submodule(layer).register_forward_hook(hook).remove)
            return executor(x, t, *more, **named)


def _hook(change: Change, answer: Answer, chosen: Sequence[int], count: int) -> Answer:
    """An answer for some of the prompts that stand behind one another in a batch.

    Names ask a layer what it answers to them: all that stands before them is done to that, and they themselves are not.
    """

    def changed(layer: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        asked_by = _asking.get()
        if asked_by is change:
            return output
        if asked_by is not None or len(chosen) == count:
            return answer(layer, inputs, output)
        if output.flatten(0, -2).shape[0] % count:
            raise ScaPreError(
                "conditioning: this model joins its prompts at their own lengths, so that they cannot be told apart "
                "here. Choose both."
            )
        new = answer(layer, inputs, output)
        kept = output.reshape(count, -1, output.shape[-1]).clone()
        kept[list(chosen)] = new.reshape(kept.shape)[list(chosen)]
        return kept.reshape(output.shape)

    return changed


class EditChange(Change):
    """An edit as changes of what its layers answer."""

    def __init__(self, model: Any, edit: Edit, strength: float) -> None:
        """Takes an edit of a model, as it is patched so far."""
        names, self.edit = list(edit.matrices), edit
        self._model, self._names, self._strength, self._copies = model, names, strength, Copies(edit)
        self._before = {part(name).weight: chain(model, part(name).weight) for name in names}
        self._terms: dict[str, Any] = {}
        self.drop()

    def answers(self, network: Any) -> dict[str, list[Answer]]:
        """One for each matrix."""
        if not self._terms:
            with torch.inference_mode(False), torch.no_grad():
                self._terms = evaluated(network.current_patcher or self._model, self._copies, self._names, self._before)
        if not self._there:
            moved = Moved(self._model.load_device)
            for name, term in self._terms.items():
                layer = part(name).weight.rpartition(".")[0]
                self._there.setdefault(layer, []).append(term.on(moved, self._strength))
        return self._there

    def drop(self, *_: Any) -> None:
        """Lets go of its tensors on a device."""
        self._there: dict[str, list[Answer]] = {}


class ValueChange(Change):
    """AdaVD: what concepts add to the values of cross-attention is taken out of every token's."""

    def __init__(self, names: Collection[str], states: Tensor, window: int, strength: float, *, gate: bool) -> None:
        """Takes what the concepts' last tokens say.

        Args:
            names: Of the matrices of values.
            states: (concepts, d), as the matrices read them.
            window: Tokens from one start to the next, which are left alone; 0 for texts without one.
            strength: 1 as published.
            gate: See `adavd.without`.
        """
        self._names, self._states, self._window = names, states, window
        self._strength, self._gate = strength, gate
        self._held: dict[str, tuple[Tensor, Tensor]] = {}

    def answers(self, network: Any) -> dict[str, list[Answer]]:
        """One for each matrix."""
        if getattr(network.current_patcher, "current_hooks", None) is not None:
            self.drop()  # weights that are scheduled are others at other steps
        found: dict[str, list[Answer]] = {}
        for name in self._names:
            found.setdefault(part(name).weight.rpartition(".")[0], []).append(self._answer(name))
        return found

    def _answer(self, name: str) -> Answer:
        which = part(name)

        def changed(layer: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            rows = output.shape[-1] // which.count
            mine = slice(which.index * rows, (which.index + 1) * rows)
            if name not in self._held:
                self._held[name] = directions(self._asked(layer, inputs[0])[:, mine])
            new = output.clone()
            new[..., mine] = without(output[..., mine], *self._held[name], self._strength, gate=self._gate)
            if self._window and _asking.get() is None:
                new[..., :: self._window, :] = output[..., :: self._window, :]
            return new

        return changed

    def _asked(self, layer: Any, like: Tensor) -> Tensor:
        """What a layer answers to the concepts' states, with all that others have hung on to it."""
        token = _asking.set(self)
        try:
            found: Tensor = layer(self._states.to(like)[None])[0]
        finally:
            _asking.reset(token)
        return found

    def drop(self, *_: Any) -> None:
        """Forgets the concepts' values; weights may be others when it is asked again."""
        self._held = {}
