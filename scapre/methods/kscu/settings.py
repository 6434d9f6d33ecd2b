"""What can be set of the training, and the paper's recipes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ...errors import ScaPreError, shorten
from ...families import Role
from ..settings import MethodSettings, Preset, choice, number, switch, text

CROSS_ATTENTION, REST = "cross-attention", "all but cross-attention"
_CROSS = frozenset({Role.KEY, Role.VALUE, Role.QUERY, Role.ANSWER})
_ALL = frozenset(Role) - {Role.POOLED, Role.LAYER}
LAYERS: Mapping[str, Collection[Role]] = {
    CROSS_ATTENTION: _CROSS, REST: _ALL - _CROSS, "all": _ALL
}  # fmt: skip
"""Roles of the matrices of each choice."""


_LEAST, MOST = 64, 20_000
_EIGHT = 8  # pixels of a latent's side
NAME = "NAME"
"""Where a name stands in a wording."""
_NAME = re.compile(rf"\b{NAME}\b")


@dataclass(frozen=True)
class Settings(MethodSettings):
    """Options of the training. The defaults are the paper's for styles, but for rank and learning rate.

    Its presets also hold neighbours, which the paper does not.
    """

    layers: str = choice(CROSS_ATTENTION, tuple(LAYERS), "Which layers are trained.")
    loss: str = choice("kscu", ("kscu", "esd"), "kscu: of the paper. esd: Erased Stable Diffusion, at any step.")
    iterations: int = number(500, "Steps of the optimiser.", 1, MOST)
    learning_rate: float = number(
        3e-4, "Of Adam. For full weights (rank 0) the paper has 0.00001.", 1e-7, 0.1, step=1e-5
    )
    rank: int = number(16, "Rank of the factors of each matrix. 0: full weights, as in the paper.", 0, 512)
    first: int = number(24, "The first key step, counted from the noise.", 0, 999)
    steps: int = number(50, "Steps of a whole picture.", 2, 1000)
    passes: int = number(8, "Passes through the key steps, after which they begin one step later.", 1, 1000)
    guidance: float = number(3.0, "How closely the pictures follow the prompts (CFG).", 1, 30, step=0.5)
    erase: float = number(
        1.0, "g, how far beyond the empty prompt, or what takes its place, a concept is led.", 0, 10, step=0.25
    )
    empty_erase: float = number(
        2e-5,
        "l1, how far the empty prompt is led away from a concept, for each time step of noise that is gone.",
        0,
        0.01,
        step=1e-5,
    )
    empty_weight: float = number(1e-4, "l2, the weight of what the empty prompt answers.", 0, 100, step=1e-4)
    batch: int = number(1, "Pictures that are trained on together.", 1, 64)
    augmented: float = number(0.05, "Share of the iterations, at the end, with varied prompts.", 0, 1, step=0.05)
    noise: float = number(1e-5, "Noise on the text of varied prompts.", 0, 1, step=1e-5)
    hold: float = number(
        0.0, "Weight of what preserved names and neighbours answer. 0: they are not held.", 0, 100, step=0.5
    )
    neighbours: int = number(0, "How many near words to hold for each concept, beside preserved names.", 0, 60)
    mask: float = number(
        1.0, "Share of each matrix that is trained, where its gradients are largest (Sculpting Memory).",
        0.001, 1, step=0.05,
    )  # fmt: skip
    mask_every: int = number(10, "Iterations after which the entries of mask are chosen anew.", 1, 1000)
    size: int = number(0, "Side of a picture in pixels. 0: as the model family is used to.", 0, 4096, step=8)
    checkpointing: bool = switch(False, "Whether to save memory by computing twice (gradient checkpointing).")
    wordings: str = text(
        "Prompts to train on, parted by ; with NAME for the name, as in: NAME; a picture by NAME. Empty: the name "
        "alone."
    )
    scheduler: str = text("Name of the host's scheduler.")

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ScaPreError: For a value outside its range, key steps that a picture does not have, or a wording without a
                place for the name.
        """
        super().__post_init__()
        if self.first >= self.steps:
            raise ScaPreError(
                f"first: key step {self.first} is outside the steps of a picture (0 to {self.steps - 1}). Give an "
                "earlier one, or raise steps."
            )
        if 0 < self.size < _LEAST or self.size % _EIGHT:
            raise ScaPreError(
                f"size: pictures of {self.size} pixels cannot be trained on: too small, or no multiple of {_EIGHT}. "
                f"Give {_LEAST} or more, such as 512."
            )
        for wording in self.prompts:
            if not _NAME.search(wording):
                raise ScaPreError(
                    f"wordings: {shorten(wording)} has no place for the name. Write {NAME} where it should stand."
                )

    @property
    def prompts(self) -> tuple[str, ...]:
        """The wordings."""
        return tuple(part.strip() for part in self.wordings.split(";") if part.strip()) or (NAME,)


_HELD: Mapping[str, Any] = {"hold": 2.0, "neighbours": 16}
"""Ours, not the paper's: with it the neighbours of one name stay, and without it many go too (MiniCanvas)."""


def named(wording: str, name: str) -> str:
    """A wording with a name in it."""
    return _NAME.sub(lambda _: name, wording)


def _preset(name: str, about: str, **values: Any) -> Preset:
    held: Mapping[str, Any] = {} if values.get("loss") else _HELD
    return Preset(name, about, Settings(**held, **values))


PRESETS: Mapping[str, Preset] = MappingProxyType({
    "style": _preset("style", "Artists and styles."),
    "class": _preset("class", "Objects.", layers=REST, first=14, iterations=750),
    "instance": _preset("instance", "One person or thing; for several give 750 iterations.", first=40, iterations=200),
    "explicit": _preset("explicit", "Explicit pictures.", layers=REST, first=14, iterations=750),
    "esd-x": _preset("esd-x", "ESD for styles.", loss="esd", first=0, iterations=1000, augmented=0.0),
    "esd-u": _preset("esd-u", "ESD for objects.", loss="esd", layers=REST, first=0, iterations=1000, augmented=0.0),
})  # fmt: skip
