"""The weights of a T5 encoder as a file keeps them, and which T5 it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ScaPreError, shorten
from .entries import DTYPES
from .tensor_file import TensorFile

T5_WORDS = 40_000
"""T5's own vocabulary has fewer tokens, 32,128, and those of its multilingual relatives more than 250,000."""

_FIRST = "encoder.block.0.layer.0.SelfAttention."
_BIAS = "layer.0.SelfAttention.relative_attention_bias"
_EMBEDDINGS = ("shared", "encoder.embed_tokens")  # the same: files have one of them, or both
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_EIGHT_BITS = tuple(DTYPES[name] for name in ("F8_E4M3", "F8_E5M2") if name in DTYPES)
_SCALES = ("scale_weight", "weight_scale")

_PILE = "Pile-T5-XL"

# What has been published, by width, feed-forward width, gate, and whether every layer has its own positions.
_KNOWN: Mapping[tuple[int, int, bool, bool], str] = {
    (4096, 10240, True, False): "T5-XXL",
    (4096, 10240, True, True): "UMT5-XXL",
    (1024, 65536, False, False): "the first T5-11B",
    (768, 3072, False, False): "T5-base",
    (768, 2048, True, True): "UMT5-base",
    (512, 2048, False, False): "T5-small",
    (1024, 4096, False, False): "T5-large",
    (1024, 16384, False, False): "T5-3B",
    (512, 1024, True, False): "T5-small 1.1",
    (768, 2048, True, False): "T5-base 1.1",
    (1024, 2816, True, False): "T5-large 1.1",
    (2048, 5120, True, False): "T5-XL",
    (2048, 5120, True, True): _PILE,
}


def t5_prefix(file: TensorFile, inside: str = "") -> str | None:
    """What a T5 encoder's names begin with, after a beginning that they must have; None where there is none."""
    mark = f"{_FIRST}q.weight"
    ends = (name.removesuffix(mark) for name in file.entries if name.startswith(inside) and name.endswith(mark))
    return next((prefix for prefix in ends if not prefix.endswith(("decoder.", "block."))), None)


class Traits(NamedTuple):
    """What tells T5's relatives apart, whatever their size.

    Attributes:
        gated: Whether feed-forward layers have a gate, as all have since T5 1.1.
        own_positions: Whether every layer has a table of positions of its own, as UMT5's have.
    """

    gated: bool
    own_positions: bool


def traits_of(title: str) -> Traits | None:
    """How a T5 of this name is built; None for an unknown one."""
    found = next((sizes[2:] for sizes, known in _KNOWN.items() if known == title), None)
    return Traits(*found) if found else None


@dataclass(frozen=True)
class T5File:
    """A T5 encoder in a file.

    Attributes:
        file: The open file.
        prefix: What its names begin with.
    """

    file: TensorFile
    prefix: str = ""

    @property
    def where(self) -> str:
        """The file, as messages begin with it."""
        return f"{self.file.field}: {shorten(self.file.path.name)}"

    @cached_property
    def gated(self) -> bool:
        """Whether its feed-forward layers have a gate, as all have since T5 1.1."""
        return self._has("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")

    @cached_property
    def own_positions(self) -> bool:
        """Whether every layer has a table of positions of its own, as UMT5's have."""
        return self._has(f"encoder.block.1.{_BIAS}.weight")

    @cached_property
    def multilingual(self) -> bool:
        """Whether its vocabulary is larger than T5's."""
        return self.shape(self.embeddings)[0] > T5_WORDS

    @property
    def traits(self) -> Traits:
        """How it is built."""
        return Traits(self.gated, self.own_positions)

    @cached_property
    def embeddings(self) -> str:
        """Name of the embeddings."""
        return next((name for name in _EMBEDDINGS if self._has(f"{name}.weight")), _EMBEDDINGS[0])

    @cached_property
    def layers(self) -> int:
        """How many there are."""
        start = f"{self.prefix}encoder.block."
        found = (name.removeprefix(start).split(".")[0] for name in self.file.entries if name.startswith(start))
        return 1 + max(int(number) for number in found if number.isdecimal())

    @property
    def known(self) -> str | None:
        """Which T5 it is, by its sizes; None for one that has not been published."""
        inner = "wi_0" if self.gated else "wi"
        sizes = self.shape(self.embeddings)[1], self.shape(f"encoder.block.0.layer.1.DenseReluDense.{inner}")[0]
        found = _KNOWN.get((*sizes, self.gated, self.own_positions))
        if found == _PILE and self.multilingual:
            return "UMT5-XL"
        return f"m{found}" if found and self.multilingual and not self.own_positions else found

    @property
    def title(self) -> str:
        """Its name for people."""
        kind = "UMT5" if self.own_positions else "T5" if self.gated else "T5 of the first version"
        return self.known or f"a {kind} of width {self.shape(self.embeddings)[1]:,}"

    def shape(self, layer: str) -> tuple[int, ...]:
        """Of a layer's weight, which is a matrix.

        Raises:
            ScaPreError: If there is none.
        """
        name = f"{self.prefix}{layer}.weight"
        entry = self.file.entries.get(name)
        if entry is None or len(entry.shape) != 2:
            raise self._incomplete(name)
        return entry.shape

    def weight(self, layer: str) -> Tensor:
        """A layer's weight, float32 on the CPU.

        Raises:
            ScaPreError: If there is none, or it is quantised in a way that is not known here.
        """
        name = f"{self.prefix}{layer}.weight"
        if name not in self.file.entries:
            raise self._incomplete(name)
        return self._values(layer, self.file.read(name))

    def rows(self, ids: Tensor) -> Tensor:
        """Some rows of the embeddings, float32; no others are read."""
        return self._values(self.embeddings, self.file.rows(f"{self.prefix}{self.embeddings}.weight", ids))

    @cached_property
    def eight_bits(self) -> bool:
        """Whether it is stored in eight bits as a whole, norms too."""
        entry = self.file.entries.get(f"{self.prefix}encoder.final_layer_norm.weight")
        return entry is not None and entry.dtype in _EIGHT_BITS

    def _values(self, layer: str, stored: Tensor) -> Tensor:
        """What stored values stand for: those of eight bits may have a scale beside them."""
        scales = [name for name in (f"{self.prefix}{layer}.{scale}" for scale in _SCALES) if self._there(name)]
        plain = stored.dtype in _FLOATS and not scales
        if not plain and (stored.dtype not in _EIGHT_BITS or any(self._sizes(name) > 1 for name in scales)):
            raise ScaPreError(
                f"{self.where}: {layer} is quantised ({stored.dtype}) in a way that "
                "the command line does not read. Give the same encoder in fp16, bf16, fp32 or scaled fp8."
            )
        values = stored.to(torch.float32)
        for name in scales:
            values = values * self.file.read(name).to(torch.float32)
        return values

    def _has(self, name: str) -> bool:
        return self._there(self.prefix + name)

    def _there(self, name: str) -> bool:
        return name in self.file.entries

    def _sizes(self, name: str) -> int:
        return torch.Size(self.file.entries[name].shape).numel()

    def _incomplete(self, name: str) -> ScaPreError:
        return ScaPreError(
            f"{self.where} lacks {name}, or it has another shape. The file is damaged "
            "or is not a whole T5 encoder; get it again."
        )
