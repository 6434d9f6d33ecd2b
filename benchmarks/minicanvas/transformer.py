"""The second diffusion model: a transformer that ComfyUI detects as Flux (schnell), and how it learns.

Flux's latents have 16 channels, MiniCanvas's autoencoder has four: the other twelve are neither read nor written. The
columns of the first layer and the rows of the last that belong to them are zero and stay so, which makes the network
in the file exactly the one that is trained here, on four.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .network import BATCH, Lessons
from .training import Loss, Plan, Run

PLAN = Plan("transformer", steps=20_000, rate=1e-3, warm_up=300, decay=0.9985)
SEED = 5
CHANNELS, LATENT_CHANNELS = 4, 16
PATCH = 2

SHAPE = {
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "vec_in_dim": 768,
    "context_in_dim": 768,
    "hidden_size": 256,
    "mlp_ratio": 4.0,
    "num_heads": 2,
    "depth": 3,
    "depth_single_blocks": 4,
    "axes_dim": [16, 56, 56],
    "theta": 10_000,
    "patch_size": PATCH,
    "qkv_bias": True,
    "guidance_embed": False,
    "txt_ids_dims": [],
}
"""11.8 M parameters. Heads have 128 channels, since that is how the host counts them in a file."""
ZERO_AT_START = ("mod.lin", "modulation.lin", "adaLN_modulation.1", "final_layer.linear")


def create(seed: int = SEED) -> nn.Module:
    """Return the host's own Flux with fresh weights."""
    import comfy.ops
    from comfy.ldm.flux.model import Flux

    torch.manual_seed(seed)
    model = Flux(**SHAPE, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            (nn.init.zeros_ if name.endswith(ZERO_AT_START) else nn.init.xavier_uniform_)(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.RMSNorm):
            nn.init.ones_(layer.weight)
    return model


def start(file: Path) -> Run:
    """Begin to train a transformer, or go on with one."""
    return Run(PLAN, create(), file)


def widened(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights for latents of 16 channels, of which the last twelve are neither read nor written."""
    found, values = dict(weights), PATCH * PATCH * LATENT_CHANNELS
    for name, axis in (("img_in.weight", 1), ("final_layer.linear.weight", 0), ("final_layer.linear.bias", 0)):
        old = weights[name]
        shape = list(old.shape)
        shape[axis] = values
        found[name] = old.new_zeros(shape)
        found[name].narrow(axis, 0, old.shape[axis]).copy_(old)
    return found


def loss_on(run: Run, lessons: Lessons, ends: Tensor) -> Loss:
    """Return the loss: the error of the predicted velocity, at times whose logit is normal (arXiv 2403.03206).

    Args:
        run: its model learns.
        lessons: latents and captions.
        ends: (captions,) the place of each caption's end token, whose state is the pooled vector.
    """
    import comfy.model_management

    def loss(random: torch.Generator, step: int) -> Tensor:
        chosen = torch.randint(len(lessons.latents), (BATCH,), generator=random)
        chance = np.random.Generator(np.random.PCG64([SEED, step]))
        said = torch.tensor([lessons.caption(lessons.pictures[index], chance) for index in chosen.tolist()])
        latents, states = lessons.latents[chosen], lessons.states[said].float()
        pooled = states[torch.arange(BATCH), ends[said]]
        noise = torch.randn(latents.shape, generator=random)
        times = torch.sigmoid(torch.randn(BATCH, generator=random))
        share = times.view(-1, 1, 1, 1)
        noisy = (1 - share) * latents + share * noise
        comfy.model_management.in_training = True  # the host's other way to turn embeddings has no gradient
        with torch.autocast("cpu", torch.bfloat16):
            predicted = run.model(noisy, times, context=states, y=pooled)
        return (predicted.float() - (noise - latents)).square().mean()

    return loss
