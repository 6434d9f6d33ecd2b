"""ComfyUI inside this process: its loaders, text encoder, samplers and decoder do all the work on pictures."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..graphs import Sampling
from ..host.base import PACK_ROOT
from ..host.places import comfy_root
from .artists import Array

BATCH = 32
"""Pictures sampled together."""
SAMPLING = Sampling()


def start_comfyui() -> None:
    """Put ComfyUI on the search path, on the CPU where torch sees no GPU; do it before anything of it is imported."""
    root = str(comfy_root())
    if root not in sys.path:
        # First of all: this checkout has a folder `nodes/` that would hide the host's module of that name.
        sys.path.insert(0, root)
    from comfy.cli_args import args

    args.cpu = args.cpu or not torch.cuda.is_available()


def pack(module: str) -> Any:
    """Return a module of the pack, which is imported as the host imports it: as a package of its own."""
    if "pack" not in sys.modules:
        package = types.ModuleType("pack")
        package.__path__ = [str(PACK_ROOT)]
        sys.modules["pack"] = package
    return importlib.import_module(f"pack.{module}")


@dataclass(frozen=True)
class Loaded:
    """What Load Checkpoint gives, or three loaders.

    Attributes:
        pooled: whether the model reads pooled vectors, too.
    """

    model: Any
    clip: Any
    vae: Any
    pooled: bool = False


def load(weights: dict[str, Tensor]) -> Loaded:
    """Load a checkpoint's weights as the stock loader does, and leave a way to load them again."""
    import comfy.sd

    model, clip, vae, _ = comfy.sd.load_state_dict_guess_config(dict(weights))
    model.cached_patcher_init = (_load_model, (weights,))
    return Loaded(model, clip, vae)


def _load_model(weights: dict[str, Tensor], disable_dynamic: bool = False) -> Any:
    """What the host calls to load a model again."""
    return load(weights).model


def load_separate(weights: Mapping[str, dict[str, Tensor]]) -> Loaded:
    """Load MiniCanvas-DiT as Load Diffusion Model, Load CLIP and Load VAE do, and leave a way to load it again."""
    import comfy.sd

    model = _load_transformer(weights["diffusion_models"])
    encoder = [dict(weights["text_encoders"])]
    clip = comfy.sd.load_text_encoder_state_dicts(encoder, clip_type=comfy.sd.CLIPType.STABLE_DIFFUSION)
    return Loaded(model, clip, comfy.sd.VAE(sd=dict(weights["vae"])), pooled=True)


def _load_transformer(weights: dict[str, Tensor], disable_dynamic: bool = False) -> Any:
    """What the host calls to load a model again."""
    import comfy.sd

    model = comfy.sd.load_diffusion_model_state_dict(dict(weights))
    model.cached_patcher_init = (_load_transformer, (weights,))
    return model


def load_text_encoder(weights: dict[str, Tensor]) -> Any:
    """Load a CLIP from the part of a checkpoint's weights that belongs to it."""
    import comfy.sd

    own = {name.split("transformer.", 1)[1]: value for name, value in weights.items() if "transformer." in name}
    return comfy.sd.load_text_encoder_state_dicts([own], clip_type=comfy.sd.CLIPType.STABLE_DIFFUSION)


def encode(clip: Any, texts: Sequence[str]) -> Tensor:
    """Return (texts, 77, 768), the states that CLIP Text Encode would give."""
    with torch.inference_mode():
        return pack("nodes.host.text_encoder").ClipEncoder(clip).encode(list(texts), lambda *_: None)


def pooled(clip: Any, texts: Sequence[str]) -> Tensor:
    """Return (texts, 768), the pooled vectors that CLIP Text Encode would give beside them."""
    with torch.inference_mode():
        found: Tensor = pack("nodes.host.text_encoder").ClipEncoder(clip).pooled(list(texts))
    return found


def sample(
    model: Any,
    states: Tensor,
    nothing: Tensor,
    seeds: Sequence[int],
    sampling: Sampling = SAMPLING,
    vectors: Tensor | None = None,
) -> Tensor:
    """Return (count, channels, side / 8, side / 8): what KSampler would give for each of the seeds on its own.

    Args:
        model: a MODEL.
        states: (count, 77, 768), one prompt each.
        nothing: (1, 77, 768), the empty prompt.
        seeds: one each.
        sampling: steps, guidance and size; its seed is not used.
        vectors: (1 + count, 768) pooled vectors of the empty prompt and the others, for models that read such.
    """
    import comfy.sample

    side, channels = sampling.size // 8, model.model.latent_format.latent_channels
    parts = []
    with torch.inference_mode():
        for start in range(0, len(seeds), BATCH):
            some = slice(start, start + BATCH)
            latent = torch.zeros(1, channels, side, side)
            noise = torch.cat([comfy.sample.prepare_noise(latent, seed) for seed in seeds[some]])
            more = [{}, {}] if vectors is None else [{"pooled_output": v} for v in (vectors[1:][some], vectors[:1])]
            positive, negative = [[states[some], more[0]]], [[nothing, more[1]]]
            parts.append(
                comfy.sample.sample(
                    model,
                    noise,
                    sampling.steps,
                    sampling.cfg,
                    "euler",
                    "normal",
                    positive,
                    negative,
                    latent.expand_as(noise),
                    disable_pbar=True,
                )
            )
    return torch.cat(parts)


def decode(vae: Any, latents: Tensor) -> Array:
    """Return (count, side, side, 3) bytes, rounded as Save Image rounds."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(latents), BATCH):
            parts.append((255 * vae.decode(latents[start : start + BATCH])).clamp(0, 255).byte().cpu().numpy())
    return np.concatenate(parts)


def read_edit(file: Path) -> Any:
    """Return the EDIT that is in a file."""
    return pack("scapre.files").read_edit(file)


def apply_edit(loaded: Loaded, edit: Any) -> Any:
    """Return the MODEL that Apply Edit gives."""
    return pack("nodes.host.patch").apply_edit(loaded.model, edit, 1.0)


def add_lora(model: Any, file: Path) -> Any:
    """Return the MODEL that Load LoRA (Model) gives at a strength of 1."""
    import comfy.sd
    import comfy.utils

    weights = comfy.utils.load_torch_file(str(file), safe_load=True)
    return comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)[0]


def edited_weights(model: Any) -> dict[str, Tensor]:
    """Return what edits can change of a MODEL as its patches give it: text projections, and others that have any."""
    projections = pack("nodes.host.projections").HostProjections(model)
    names = [name for name, role in projections.roles.items() if role.reads_text or name in model.patches]
    with torch.inference_mode():
        return {name: projections.read(name, torch.device("cpu")) for name in names}


SAMPLING_WORD = "sampling"
ERASERS = {
    "concepts": ("nodes.erase_concepts", "EraseConcepts"),
    "neurons": ("nodes.erase_neurons", "EraseNeurons"),
    "unlearn": ("nodes.unlearn", "Unlearn"),
    SAMPLING_WORD: ("nodes.erase_while_sampling", "EraseWhileSampling"),
}
"""Module and class of the nodes that erase, by a word for each."""


def erase(loaded: Loaded, concepts: Sequence[str], inputs: Mapping[str, Any]) -> Any:
    """Return the MODEL that the nodes that are asked for give, one after another, for these inputs.

    An input may begin with the word of its node, as in `neurons.preset`. Erase Concepts is asked unless all do.
    """
    model, shared = loaded.model, {name: value for name, value in inputs.items() if "." not in name}
    for word, (module, name) in ERASERS.items():
        own = {key.partition(".")[2]: value for key, value in inputs.items() if key.startswith(f"{word}.")}
        if own or (word == "concepts" and not any("." in key for key in inputs)):
            node = getattr(pack(module), name)
            own = own if word == SAMPLING_WORD else {**shared, **own}  # which preserves nothing
            with torch.inference_mode():
                model = node.execute(model, loaded.clip, "\n".join(concepts), **own).args[0]
    return model
