"""API-format graphs: a stock text-to-image workflow, with or without the erase node in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .host.client import Graph

ERASE_NODE = "ScaPreEraseConcepts"
ERASE, REPORT = "erase", "report"


@dataclass(frozen=True)
class Sampling:
    """How every picture of a graph is made."""

    size: int = 64
    steps: int = 20
    cfg: float = 3.0
    seed: int = 1


def picture_node(index: int) -> str:
    """Return the id of the node that saves the picture of prompt number `index`."""
    return f"save-{index}"


def text_to_image(
    checkpoint: str | Mapping[str, str],
    prompts: Sequence[str],
    sampling: Sampling,
    erase: Mapping[str, Any] | None = None,
    prefix: str = "scapre/picture",
) -> Graph:
    """Build a graph that samples one picture for each prompt.

    Args:
        checkpoint: a name in models/checkpoints, or names by folder: diffusion_models, text_encoders, vae.
        prompts: what to draw; all of them start from the same noise.
        sampling: size, steps, guidance and seed.
        erase: the widget values of the erase node; None leaves the node out.
        prefix: where the pictures go in the output folder.
    """
    graph, clip, vae = _loaders(checkpoint)
    graph |= {
        "negative": _node("CLIPTextEncode", clip=clip, text=""),
        "latent": _node("EmptyLatentImage", width=sampling.size, height=sampling.size, batch_size=1),
    }
    if erase is not None:
        graph[ERASE] = _node(ERASE_NODE, model=["model", 0], clip=clip, **erase)
        graph[REPORT] = _node("PreviewAny", source=[ERASE, 2])
    model = "model" if erase is None else ERASE
    for index, prompt in enumerate(prompts):
        graph.update(_picture(index, prompt, (model, clip, vae), sampling, prefix))
    return graph


def _loaders(checkpoint: str | Mapping[str, str]) -> tuple[Graph, list[Any], list[Any]]:
    """What loads, and where the text encoder and the VAE come from."""
    if isinstance(checkpoint, str):
        return {"model": _node("CheckpointLoaderSimple", ckpt_name=checkpoint)}, ["model", 1], ["model", 2]
    graph = {
        "model": _node("UNETLoader", unet_name=checkpoint["diffusion_models"], weight_dtype="default"),
        "clip": _node("CLIPLoader", clip_name=checkpoint["text_encoders"], type="stable_diffusion"),
        "vae": _node("VAELoader", vae_name=checkpoint["vae"]),
    }
    return graph, ["clip", 0], ["vae", 0]


def _picture(index: int, prompt: str, loaded: tuple[str, Any, Any], sampling: Sampling, prefix: str) -> Graph:
    text, sample, decode = f"text-{index}", f"sample-{index}", f"decode-{index}"
    model, clip, vae = loaded
    return {
        text: _node("CLIPTextEncode", clip=clip, text=prompt),
        sample: _node(
            "KSampler",
            model=[model, 0],
            positive=[text, 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=sampling.seed,
            steps=sampling.steps,
            cfg=sampling.cfg,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        decode: _node("VAEDecode", samples=[sample, 0], vae=vae),
        picture_node(index): _node("SaveImage", images=[decode, 0], filename_prefix=f"{prefix}-{index:02d}"),
    }


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
