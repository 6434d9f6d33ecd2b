"""What lies between the text encoder's states and the projections that read them, where a family has anything there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScaPreError

Read = Callable[[str], Tensor]
"""A parameter of the model by its name, float32 on the CPU."""
Activation = Callable[[Tensor], Tensor]


def gelu_tanh(values: Tensor) -> Tensor:
    """GELU in its tanh form."""
    return F.gelu(values, approximate="tanh")


@dataclass(frozen=True)
class Context:
    """Takes states of the text encoder (…, width) to what the projections read (…, d), float32.

    Attributes:
        width: Of the states.
        digest: A short name of the weights in it.
        apply: Does it.
    """

    width: int
    digest: str
    apply: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class OneLayer:
    """A linear layer: y = W x + b.

    Attributes:
        name: Of the layer inside the model.
    """

    name: str

    def __call__(self, read: Read) -> Context:
        """Reads the layer.

        Raises:
            ScaPreError: If its parts do not fit each other, or are not finite.
        """
        weight, bias = _layer(read, self.name)
        return Context(weight.shape[1], digest([weight, bias]), lambda states: F.linear(states, weight, bias))


@dataclass(frozen=True)
class TwoLayers:
    """Two linear layers with an activation between them: y = W₂ f(W₁ x + b₁) + b₂.

    Attributes:
        first: Name of the first layer inside the model.
        second: Of the second.
        activation: f.
        biased: Whether the layers have b.
    """

    first: str
    second: str
    activation: Activation = gelu_tanh
    biased: bool = True

    def __call__(self, read: Read) -> Context:
        """Reads the layers.

        Raises:
            ScaPreError: If they do not fit each other, or are not finite.
        """
        layers = [_layer(read, layer, biased=self.biased) for layer in (self.first, self.second)]
        (up, lift), (down, shift) = layers
        if up.shape[0] != down.shape[1]:
            raise ScaPreError(
                f"model: {self.first} {tuple(up.shape)} and {self.second} {tuple(down.shape)} do not fit each other. "
                "The file is damaged; get it again."
            )

        def apply(states: Tensor) -> Tensor:
            return F.linear(self.activation(F.linear(states, up, lift)), down, shift)

        return Context(up.shape[1], digest(tensor for layer in layers for tensor in layer), apply)


@dataclass(frozen=True)
class RootMeanSquare:
    """A norm: y = w x / √(mean x² + ε).

    Attributes:
        name: Of it inside the model.
        epsilon: ε.
    """

    name: str
    epsilon: float

    def __call__(self, read: Read) -> Context:
        """Reads the norm.

        Raises:
            ScaPreError: If it is not finite.
        """
        weight = finite(f"diffusion_model.{self.name}.weight", read)
        return Context(
            len(weight), digest([weight]), lambda states: F.rms_norm(states, weight.shape, weight, self.epsilon)
        )


def _layer(read: Read, layer: str, *, biased: bool = True) -> tuple[Tensor, Tensor | None]:
    weight = finite(f"diffusion_model.{layer}.weight", read)
    if not biased:
        return weight, None
    bias = finite(f"diffusion_model.{layer}.bias", read)
    if bias.shape != weight.shape[:1]:
        raise ScaPreError(
            f"model: weight and bias of {layer} do not fit each other. The file is damaged; get it again."
        )
    return weight, bias


def finite(name: str, read: Read) -> Tensor:
    """A parameter of what leads a text to the projections.

    Raises:
        ScaPreError: If it is not finite.
    """
    weight = read(name)
    if not bool(weight.isfinite().all()):
        raise ScaPreError(
            f"model: {name} contains NaN or infinity, so the text cannot be led through it. The checkpoint or a LoRA "
            "before this node is damaged; load another file."
        )
    return weight


def digest(weights: Iterable[Tensor | None]) -> str:
    """A short name of some weights, 32 hexadecimal digits; None is no weight."""
    found = hashlib.blake2b(digest_size=16)
    for weight in weights:
        if weight is not None:
            found.update(_bytes(weight))
    return found.hexdigest()


def _bytes(weight: Tensor) -> Any:
    return weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
