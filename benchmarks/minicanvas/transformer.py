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
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .network import BATCH, Lessons
from .training import Loss, Plan, Run, reduced

PLAN = Plan("transformer", steps=7_000, rate=1e-3, warm_up=300, decay=0.9985)
SEED = 5
CHANNELS, LATENT_CHANNELS = 4, 16
PATCH = 2
SHORT, EVERY, LAST = 18, 5, 0.9
"""Four of five batches see no more positions of their captions, whose padding is long; all are seen in the end."""

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


def forward(model: nn.Module, noisy: Tensor, times: Tensor, states: Tensor, pooled: Tensor) -> Tensor:
    """What the host's own forward gives, (batch, channels, side, side), for training.

    The host's changes streams in place where gradients still need them, and turns embeddings in a way that has none.

    Args:
        model: from `create`.
        noisy: (batch, channels, side, side) latents on the way.
        times: (batch,) 1 is noise.
        states: (batch, tokens, 768).
        pooled: (batch, 768).
    """
    from comfy.ldm.flux.layers import timestep_embedding

    side = noisy.shape[-1] // PATCH
    picture = model.img_in(rearrange(noisy, "b c (h p) (w q) -> b (h w) (c p q)", p=PATCH, q=PATCH))
    vector = model.time_in(timestep_embedding(times, 256)) + model.vector_in(pooled)
    text, turn = model.txt_in(states), _turns(model, states.shape[1], side)
    for block in model.double_blocks:
        picture, text = _double(block, picture, text, vector, turn)
    both = torch.cat((text, picture), 1)
    for block in model.single_blocks:
        both = _single(block, both, vector, turn)
    last = model.final_layer
    shift, scale = last.adaLN_modulation(vector)[:, None].chunk(2, -1)
    found = last.linear((1 + scale) * last.norm_final(both[:, text.shape[1] :]) + shift)
    return rearrange(found, "b (h w) (c p q) -> b c (h p) (w q)", h=side, p=PATCH, q=PATCH)


def _turns(model: nn.Module, words: int, side: int) -> Tensor:
    """Rotary embeddings, (1, 1, tokens, 64, 2, 2): words have no place, patches their row and column."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    places = torch.stack((torch.zeros(side * side), rows.flatten(), columns.flatten()), -1)
    return model.pe_embedder(torch.cat((torch.zeros(words, 3), places))[None])


def _attend(queries: Tensor, keys: Tensor, values: Tensor, turn: Tensor) -> Tensor:
    def turned(heads: Tensor) -> Tensor:
        pairs = heads.float().unflatten(-1, (-1, 1, 2))
        return (turn[..., 0] * pairs[..., 0] + turn[..., 1] * pairs[..., 1]).flatten(-2).to(values)

    return F.scaled_dot_product_attention(turned(queries), turned(keys), values).transpose(1, 2).flatten(2)


def _heads(layer: nn.Module, both: Tensor, heads: int) -> tuple[Tensor, ...]:
    queries, keys, values = rearrange(both, "b t (n h d) -> n b h t d", n=3, h=heads)
    return layer.query_norm(queries), layer.key_norm(keys), values


def _double(block: nn.Module, picture: Tensor, text: Tensor, vector: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    streams = [
        (text, block.txt_mod, block.txt_attn, block.txt_norm1, block.txt_norm2, block.txt_mlp),
        (picture, block.img_mod, block.img_attn, block.img_norm1, block.img_norm2, block.img_mlp),
    ]
    changes = [mod.lin(F.silu(vector))[:, None].chunk(6, -1) for _, mod, *_ in streams]
    parts = [
        _heads(attention.norm, attention.qkv((1 + change[1]) * norm(stream) + change[0]), block.num_heads)
        for (stream, _, attention, norm, *_), change in zip(streams, changes, strict=True)
    ]
    answers = _attend(*(torch.cat(some, 2) for some in zip(*parts, strict=True)), turn)
    found = []
    split = answers.split([text.shape[1], picture.shape[1]], 1)
    for (stream, _, attention, _, norm, mlp), change, answer in zip(streams, changes, split, strict=True):
        stream = stream + change[2] * attention.proj(answer)
        found.append(stream + change[5] * mlp((1 + change[4]) * norm(stream) + change[3]))
    return found[1], found[0]


def _single(block: nn.Module, both: Tensor, vector: Tensor, turn: Tensor) -> Tensor:
    shift, scale, gate = block.modulation.lin(F.silu(vector))[:, None].chunk(3, -1)
    width = block.hidden_size
    parts = [3 * width, block.mlp_hidden_dim]
    heads, inner = block.linear1((1 + scale) * block.pre_norm(both) + shift).split(parts, -1)
    answers = _attend(*_heads(block.norm, heads, block.num_heads), turn)
    return both + gate * block.linear2(torch.cat((answers, block.mlp_act(inner)), -1))


def loss_on(run: Run, lessons: Lessons, ends: Tensor) -> Loss:
    """Return the loss: the error of the predicted velocity, at times whose logit is normal (arXiv 2403.03206).

    Args:
        run: its model learns.
        lessons: latents and captions.
        ends: (captions,) the place of each caption's end token, whose state is the pooled vector.
    """
    fast = torch.compile(forward, dynamic=False)

    def loss(random: torch.Generator, step: int) -> Tensor:
        chosen = torch.randint(len(lessons.latents), (BATCH,), generator=random)
        chance = np.random.Generator(np.random.PCG64([SEED, step]))
        said = torch.tensor([lessons.caption(lessons.pictures[index], chance) for index in chosen.tolist()])
        latents, states = lessons.latents[chosen], lessons.states[said].float()
        pooled = states[torch.arange(BATCH), ends[said]]
        if step % EVERY and step < LAST * run.plan.steps:
            states = states[:, :SHORT]
        noise = torch.randn(latents.shape, generator=random)
        times = torch.sigmoid(torch.randn(BATCH, generator=random))
        share = times.view(-1, 1, 1, 1)
        noisy = (1 - share) * latents + share * noise
        with reduced():
            predicted = fast(run.model, noisy, times, states, pooled)
        return (predicted.float() - (noise - latents)).square().mean()

    return loss
