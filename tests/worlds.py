"""Small stand-ins for what hosts provide: a text encoder with CLIP's geometry, and projections with known weights."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence

import torch

from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.families import Role
from pack.scapre.methods.scapre.informax import noise_bank
from pack.scapre.methods.scapre.settings import PRESETS, Settings
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit
from pack.tests import oracle

WINDOW = 77
WIDTH = 48
SHAPES = [(40, WIDTH), (24, WIDTH), (1, WIDTH)]
LISTS = {
    "one": "name",
    "three anchors": "one\ntwo words -> thing\nthree more words -> other thing\nfour\nfive -> thing",
    "many": "\n".join(f"name {'long ' * (i % 4)}{i}" for i in range(60)),
}
CASES = {
    **{f"preset {name}": preset.settings for name, preset in PRESETS.items()},
    "no gate, no Bures": Settings(variant="scale", informax=False, bures_steps=0),
    "valve": Settings(variant="scale", row_valve=True),
    "valve, spectral, three Bures steps": Settings(variant="scale", row_valve=True, spectral=True, bures_steps=3),
    "tensor": Settings(variant="precise", technique="tensor", residual=True),
    "tensor, scale": Settings(variant="scale", technique="tensor"),
    "soft spectral gate": Settings(variant="scale", spectral=True, spectral_temperature=5, spectral_power=2),
    "coarse retention": Settings(variant="precise", samples=3, bins=4, alpha_min=0),
    "loud noise": Settings(variant="scale", noise=2.0, gate_power=3, gate_temperature=0.3),
}


class Encoder:
    """States of a causal encoder: one start state for all texts, a part by position, a part by text."""

    def __init__(self, width: int, norm: float = 28.0) -> None:
        generator = torch.Generator().manual_seed(0)
        self.width, self.norm = width, norm
        self.start = torch.randn(width, generator=generator)
        self.places = torch.randn(WINDOW, width, generator=generator)
        self.asked: list[str] = []

    def tokens(self, text: str) -> list[int]:
        return [zlib.crc32(word.encode()) % 49_000 for word in text.split()]

    def encode(self, texts: Sequence[str], progress=None) -> torch.Tensor:
        self.asked += texts
        return torch.stack([self._states(text) for text in texts])

    def encode_prefixes(self, texts: Sequence[str], length: int) -> torch.Tensor:
        return self.encode(texts)[:, :length]

    def remembered(self, key: str, make):
        return make()

    def lexicon(self):
        return None

    def _states(self, text: str) -> torch.Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        own, tokens = torch.randn(self.width, generator=generator), torch.randn(WINDOW, self.width, generator=generator)
        states = 0.7 * self.places + 0.6 * own + 0.3 * tokens
        states[0] = self.start
        return self.norm * states / states.norm(dim=-1, keepdim=True)


class Projections:
    """Named matrices."""

    family = "SD1.x"

    def __init__(self, shapes: Sequence[tuple[int, int]], dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights = {
            f"block.{i}.weight": (torch.randn(n, d, generator=generator) / d**0.5).to(dtype)
            for i, (n, d) in enumerate(shapes)
        }
        self.roles = dict(zip(self.weights, itertools.cycle((Role.KEY, Role.VALUE)), strict=False))

    def read(self, name: str, device: torch.device) -> torch.Tensor:
        return self.weights[name].to(device)


def ask(text: str, settings: Settings, seed: int = 3, **more) -> Request:
    return Request(parse_concepts(text), settings=settings, seed=seed, **more)


def edit_of(request: Request, projections: Projections, dtype: torch.dtype = torch.float64, width: int = WIDTH) -> Edit:
    states, _ = encode_request(Encoder(width), request)
    return solve_edit(states, projections, request, dtype=dtype)


def reference(request: Request, weight: torch.Tensor) -> torch.Tensor:
    """ΔW of the oracle."""
    states, _ = encode_request(Encoder(weight.shape[1]), request)
    items = oracle.items_of(states, request.pairs())
    noise = noise_bank(request.seed, weight.shape[1], request.settings)
    return oracle.edited(weight, items, states.of(""), noise, request.settings) - weight.double()


def error(value: torch.Tensor, truth: torch.Tensor) -> float:
    return ((value.double() - truth).norm() / truth.norm()).item()
