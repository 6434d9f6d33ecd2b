"""A small SD1.5-format checkpoint with random weights, for a machine that has no model.

ComfyUI tells a checkpoint's family by the shapes of a few weights: 320 channels after the first convolution, a text
width of 768, and projections around the attention that are 1x1 convolutions mean SD1.5. How deep the network is stays
free, so this one has a single resolution, and a transformer on the way in, in the middle and on the way out (four
cross-attentions, of all three block families). The text encoder cannot be smaller: the stock loader always builds a
whole CLIP-L, and would leave weights it does not find uninitialised. The autoencoder has TAESD's format.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file

from pack.benchmarks.host.places import cache_folder

VERSION = 2
"""Raise this when the weights change: cached files are named by it."""

CHANNELS, TIME_WIDTH = 320, 1280
TEXT_WIDTH, TEXT_LAYERS, TOKENS, POSITIONS = 768, 12, 49408, 77
PIXEL_CHANNELS = 64
LATENT_CHANNELS = 4


class Weights:
    """Collects seeded random tensors by layer kind, under the prefix of the part being written."""

    def __init__(self, seed: int, dtype: torch.dtype) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._random = torch.Generator().manual_seed(seed)
        self._dtype = dtype
        self._prefix = ""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Write what follows under `name`."""
        outer = self._prefix
        self._prefix = f"{outer}{name}."
        yield
        self._prefix = outer

    def put(self, name: str, value: torch.Tensor) -> None:
        """Store one tensor as it is."""
        self.tensors[self._prefix + name] = value

    def normal(self, name: str, *shape: int, std: float) -> None:
        """Store normally distributed values."""
        self.put(name, torch.randn(shape, generator=self._random).mul_(std).to(self._dtype))

    def bias(self, name: str, size: int) -> None:
        """Store a bias of zero."""
        self.put(f"{name}.bias", torch.zeros(size, dtype=self._dtype))

    def norm(self, name: str, size: int) -> None:
        """Store a normalisation that scales by one."""
        self.put(f"{name}.weight", torch.ones(size, dtype=self._dtype))
        self.bias(name, size)

    def linear(self, name: str, inputs: int, outputs: int, *, gain: float = 1.0, bias: bool = True) -> None:
        """Store a linear layer that makes its input `gain` times as large."""
        self.normal(f"{name}.weight", outputs, inputs, std=gain / math.sqrt(inputs))
        if bias:
            self.bias(name, outputs)

    def conv(self, name: str, inputs: int, outputs: int, *, size: int = 3, bias: bool = True) -> None:
        """Store a convolution that keeps the size of its input."""
        self.normal(f"{name}.weight", outputs, inputs, size, size, std=1 / math.sqrt(inputs * size * size))
        if bias:
            self.bias(name, outputs)


def cached_checkpoint() -> Path:
    """Return the generated checkpoint in the cache, writing it there first when it is missing."""
    folder = cache_folder() / "checkpoints"
    file = folder / f"random-sd15-v{VERSION}.safetensors"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_checkpoint(file)
    return file


def write_checkpoint(file: Path, *, seed: int = 0, dtype: torch.dtype = torch.float16) -> None:
    """Write the checkpoint; the file appears under its name only when it is whole."""
    weights = Weights(seed, dtype)
    with weights.part("model.diffusion_model"):
        write_unet(weights)
    with weights.part("cond_stage_model.transformer.text_model"):
        write_text_encoder(weights)
    with weights.part("first_stage_model"):
        write_autoencoder(weights)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        save_file(weights.tensors, unfinished, metadata={"format": "pt"})
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def write_unet(weights: Weights) -> None:
    """Write a one-level UNet with a transformer in every block."""
    weights.linear("time_embed.0", CHANNELS, TIME_WIDTH)
    weights.linear("time_embed.2", TIME_WIDTH, TIME_WIDTH)
    weights.conv("input_blocks.0.0", LATENT_CHANNELS, CHANNELS)
    write_residual(weights, "input_blocks.1.0", CHANNELS)
    write_transformer(weights, "input_blocks.1.1")
    write_residual(weights, "middle_block.0", CHANNELS)
    write_transformer(weights, "middle_block.1")
    write_residual(weights, "middle_block.2", CHANNELS)
    for index in range(2):
        write_residual(weights, f"output_blocks.{index}.0", 2 * CHANNELS)  # takes a skip connection along
        write_transformer(weights, f"output_blocks.{index}.1")
    weights.norm("out.0", CHANNELS)
    weights.conv("out.2", CHANNELS, LATENT_CHANNELS)


def write_residual(weights: Weights, name: str, inputs: int) -> None:
    """Write a residual block that is told the time step."""
    with weights.part(name):
        weights.norm("in_layers.0", inputs)
        weights.conv("in_layers.2", inputs, CHANNELS)
        weights.linear("emb_layers.1", TIME_WIDTH, CHANNELS)
        weights.norm("out_layers.0", CHANNELS)
        weights.conv("out_layers.3", CHANNELS, CHANNELS)
        if inputs != CHANNELS:
            weights.conv("skip_connection", inputs, CHANNELS, size=1)


def write_transformer(weights: Weights, name: str) -> None:
    """Write one transformer: attention to itself, attention to the text, and a gated feed-forward layer."""
    with weights.part(name):
        weights.norm("norm", CHANNELS)
        weights.conv("proj_in", CHANNELS, CHANNELS, size=1)
        with weights.part("transformer_blocks.0"):
            write_attention(weights, "attn1", CHANNELS)
            write_attention(weights, "attn2", TEXT_WIDTH)
            weights.linear("ff.net.0.proj", CHANNELS, 8 * CHANNELS)
            weights.linear("ff.net.2", 4 * CHANNELS, CHANNELS)
            for norm in ("norm1", "norm2", "norm3"):
                weights.norm(norm, CHANNELS)
        weights.conv("proj_out", CHANNELS, CHANNELS, size=1)


def write_attention(weights: Weights, name: str, context: int) -> None:
    """Write the four projections of an attention whose keys and values come from `context` features."""
    weights.linear(f"{name}.to_q", CHANNELS, CHANNELS, bias=False)
    weights.linear(f"{name}.to_k", context, CHANNELS, bias=False)
    weights.linear(f"{name}.to_v", context, CHANNELS, bias=False)
    weights.linear(f"{name}.to_out.0", CHANNELS, CHANNELS)


def write_text_encoder(weights: Weights) -> None:
    """Write a whole CLIP-L text encoder, its layers so gentle that a state still tells which token it belongs to."""
    weights.normal("embeddings.token_embedding.weight", TOKENS, TEXT_WIDTH, std=0.3)
    weights.normal("embeddings.position_embedding.weight", POSITIONS, TEXT_WIDTH, std=0.1)
    gentle = 1 / math.sqrt(2 * TEXT_LAYERS)
    for layer in range(TEXT_LAYERS):
        with weights.part(f"encoder.layers.{layer}"):
            for projection in ("q_proj", "k_proj", "v_proj"):
                weights.linear(f"self_attn.{projection}", TEXT_WIDTH, TEXT_WIDTH)
            weights.linear("self_attn.out_proj", TEXT_WIDTH, TEXT_WIDTH, gain=gentle)
            weights.linear("mlp.fc1", TEXT_WIDTH, 4 * TEXT_WIDTH)
            weights.linear("mlp.fc2", 4 * TEXT_WIDTH, TEXT_WIDTH, gain=gentle)
            weights.norm("layer_norm1", TEXT_WIDTH)
            weights.norm("layer_norm2", TEXT_WIDTH)
    weights.norm("final_layer_norm", TEXT_WIDTH)


def write_autoencoder(weights: Weights) -> None:
    """Write an autoencoder of TAESD's format, with the latent scale of SD1.5 that ComfyUI reads from the file."""
    weights.put("vae_scale", torch.tensor(0.18215))
    weights.put("vae_shift", torch.tensor(0.0))
    # The numbers are positions in TAESD's two sequences; those left out hold no weights.
    with weights.part("taesd_encoder"):
        weights.conv("0", 3, PIXEL_CHANNELS)
        write_pixel_blocks(weights, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13)
        for halving in (2, 6, 10):
            weights.conv(str(halving), PIXEL_CHANNELS, PIXEL_CHANNELS, bias=False)
        weights.conv("14", PIXEL_CHANNELS, LATENT_CHANNELS)
    with weights.part("taesd_decoder"):
        weights.conv("1", LATENT_CHANNELS, PIXEL_CHANNELS)
        write_pixel_blocks(weights, 3, 4, 5, 8, 9, 10, 13, 14, 15, 18)
        for doubling in (7, 12, 17):
            weights.conv(str(doubling), PIXEL_CHANNELS, PIXEL_CHANNELS, bias=False)
        weights.conv("19", PIXEL_CHANNELS, 3)


def write_pixel_blocks(weights: Weights, *positions: int) -> None:
    """Write TAESD's residual blocks of three convolutions."""
    for position in positions:
        for step in (0, 2, 4):
            weights.conv(f"{position}.conv.{step}", PIXEL_CHANNELS, PIXEL_CHANNELS)
