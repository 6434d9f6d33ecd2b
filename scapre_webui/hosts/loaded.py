"""What the extension needs of a host's loaded model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property

import torch
from torch import Tensor, nn

from ...scapre.edits.edit import Edit
from ...scapre.edits.fingerprint import sample
from ...scapre.errors import ScaPreError
from ...scapre.families import CLIP, Role, text_encoder
from ...scapre.states.encoder import Encoder

PREFIX = "diffusion_model."
SUFFIX = ".weight"


class LoadedModel(ABC):
    """A model that a host has loaded. It is what the engine calls projections, and has an encoder beside them.

    Attributes:
        unet: The diffusion model itself, which everything that draws calls.
        device: Where the host computes.
    """

    unet: nn.Module
    device: torch.device

    @abstractmethod
    def found(self) -> tuple[str, Mapping[str, Role]]:
        """Title of the model's family, and the role of each projection by its name, in the model's order.

        Raises:
            ScaPreError: If it is not supported.
        """

    @cached_property
    def _found(self) -> tuple[str, Mapping[str, Role]]:
        title, roles = self.found()
        if text_encoder(title) is not CLIP:
            raise ScaPreError(
                f"model: {title} models can be edited in ComfyUI, and not here yet. Choose another model."
            )
        return title, {name: role for name, role in roles.items() if role is not Role.POOLED}

    @property
    def family(self) -> str:
        """Title of the model's family."""
        return self._found[0]

    @property
    def roles(self) -> Mapping[str, Role]:
        """Role of each projection."""
        return self._found[1]

    @property
    def text(self) -> frozenset[str]:
        """Names of the projections that read the text."""
        return frozenset(name for name, role in self.roles.items() if role.reads_text)

    @abstractmethod
    def state(self) -> Hashable:
        """What an edit depends on: the file, LoRAs, clip skip. What is equal needs no other edit."""

    @abstractmethod
    def encoder(self) -> Encoder:
        """Its text encoder, as LoRAs and clip skip leave it."""

    @abstractmethod
    def read(self, name: str, device: torch.device) -> Tensor:
        """The weight of a projection with the LoRAs of this prompt and without this pack's edit, float32."""

    @abstractmethod
    def put(self, edit: Edit, strength: float, digest: str) -> Callable[[], None]:
        """Puts an edit on; returns what takes off whatever the host does not take off by itself."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """Inside of it, the model is without LoRAs of the last prompt, and with the clip skip that is chosen now."""

    @cached_property
    def modules(self) -> dict[str, nn.Module]:
        """The module of each projection, by its weight's name."""
        named = {f"{PREFIX}{name}{SUFFIX}": module for name, module in self.unet.named_modules()}
        return {name: named[name] for name in self.roles}

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that the host keeps a weight in."""
        return tuple(self.read(name, torch.device("cpu")).shape)

    def samples(self, names: Iterable[str]) -> dict[str, Tensor]:
        """`fingerprint.sample` of some projections."""
        return {name: sample(self.read(name, torch.device("cpu"))) for name in names}
