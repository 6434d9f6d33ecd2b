"""The autoencoder between pictures and latents: TAESD's format, which ComfyUI loads as a checkpoint's VAE."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from .artists import Array
from .dataset import to_pixels
from .training import Loss, Plan, Run, reduced

PLAN = Plan("autoencoder", steps=3400, rate=1.2e-3, decay=0.995, weight_decay=0.0)
BATCH = 16
LATENT_NOISE = 0.08
"""Added to latents in training, so that what a diffusion model misses a little is still decoded well."""


def create() -> nn.Module:
    """Return an autoencoder with fresh weights."""
    from comfy.taesd.taesd import TAESD  # the host's own, so that names and maths are what it expects

    torch.manual_seed(PLAN.seed)
    model = TAESD().requires_grad_(True)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for name, layer in model.named_modules():
        if name.endswith("conv.4"):  # the last of a residual block: start close to the identity
            nn.init.normal_(layer.weight, std=0.1 * math.sqrt(2 / (9 * 64)))
    model.vae_scale.requires_grad_(False)
    model.vae_shift.requires_grad_(False)
    return model.to(memory_format=torch.channels_last)


def start(file: Path) -> Run:
    """Begin to train an autoencoder, or go on with one."""
    return Run(PLAN, create(), file)


def loss_on(run: Run, drawings: Array) -> Loss:
    """Return the loss: reconstruction through noisy latents, which are held at mean 0 and deviation 1."""
    model = run.model

    def loss(random: torch.Generator, step: int) -> Tensor:
        chosen = torch.randint(len(drawings), (BATCH,), generator=random).numpy()
        pixels = to_pixels(drawings[chosen]).contiguous(memory_format=torch.channels_last)
        with reduced():
            latents = model.taesd_encoder(pixels)
            noisy = latents + LATENT_NOISE * torch.randn(latents.shape, generator=random)
            again = model.taesd_decoder(noisy).float()
        spread = latents.float().transpose(0, 1).flatten(1)
        normal = spread.mean(1).square().mean() + (spread.std(1) - 1).square().mean()
        error = again - pixels
        return error.square().mean() + 0.1 * error.abs().mean() + 0.02 * normal

    return loss


@torch.no_grad()
def encode(model: nn.Module, drawings: Array, batch: int = 64) -> Tensor:
    """Return (count, 4, side / 8, side / 8), the latents of drawings."""
    parts = []
    for start in range(0, len(drawings), batch):
        with reduced():
            parts.append(model.taesd_encoder(to_pixels(drawings[start : start + batch])).float())
    return torch.cat(parts)
