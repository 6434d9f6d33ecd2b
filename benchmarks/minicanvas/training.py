"""A training run that can be stopped at any time and goes on where it was."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

Loss: TypeAlias = "Callable[[torch.Generator, int], Tensor]"
SAVE_SECONDS = 120


def reduced() -> torch.autocast:
    """In which the CPU computes with bfloat16, if it can: without AVX-512 that is far slower than float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.backends.cpu.get_cpu_capability().startswith("AVX512"))


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        name: of the run, for the progress bar.
        steps: how many there are.
        rate: the highest learning rate; it warms up, then falls along a half cosine to a hundredth.
        warm_up: steps.
        decay: how far back the averaged weights reach (per step).
        seed: of everything left to chance.
    """

    name: str
    steps: int
    rate: float
    warm_up: int = 50
    decay: float = 0.999
    weight_decay: float = 0.01
    seed: int = 1

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step."""
        done = min(step / self.steps, 1)
        return self.rate * min((step + 1) / self.warm_up, 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


@dataclass
class Run:
    """A model on its way through a plan.

    Attributes:
        plan: what to do.
        model: its parameters are changed in place.
        file: where the state is kept.
        seconds: spent in training so far, over all sittings.
    """

    plan: Plan
    model: nn.Module
    file: Path
    step: int = 0
    seconds: float = 0.0
    averaged: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), self.plan.rate, betas=(0.9, 0.99), weight_decay=self.plan.weight_decay, fused=True
        )
        self.averaged = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if self.file.is_file():
            self._load()

    @property
    def finished(self) -> bool:
        """Whether every step was made."""
        return self.step >= self.plan.steps

    def go(self, loss: Loss, until: float = math.inf, watch: Callable[[Run], None] | None = None) -> bool:
        """Train until the end, or until a time (as time.monotonic tells it); return whether it is the end.

        Args:
            loss: the loss of one step, from that step's random generator and number.
            until: when to stop.
            watch: called whenever the state was saved.
        """
        began = saved = time.monotonic()
        spent, mean = self.seconds, 0.0
        while not self.finished and time.monotonic() < until:
            value = self._advance(loss)
            mean = value if not mean else 0.98 * mean + 0.02 * value
            now = time.monotonic()
            self.seconds = spent + now - began
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = now
                if watch:
                    watch(self)
            self._show(mean)
        self.save()
        if watch:
            watch(self)
        print(file=sys.stderr)
        return self.finished

    def _advance(self, loss: Loss) -> float:
        random = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        value = loss(random, self.step)
        value.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        return value.item()

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.plan.decay, (1 + self.step) / (10 + self.step))
        now = self.model.state_dict()
        torch._foreach_lerp_([self.averaged[name] for name in now], list(now.values()), 1 - keep)

    def save(self) -> None:
        """Write the state; a run that is killed meanwhile leaves the last one."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        unfinished = self.file.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(self.file)

    def _load(self) -> None:
        state = torch.load(self.file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.averaged, self.step, self.seconds = state["averaged"], state["step"], state["seconds"]

    def _show(self, mean: float) -> None:
        left = self.seconds / self.step * (self.plan.steps - self.step)
        bar = "#" * (30 * self.step // self.plan.steps)
        text = f"{self.plan.name} |{bar:30}| {self.step}/{self.plan.steps}, loss {mean:.4f}, {left / 60:.0f} min left"
        print(f"\r{text}  ", end="", file=sys.stderr, flush=True)
