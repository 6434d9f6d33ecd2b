"""Transformers in a stock graph on a real server: Load Diffusion Model, Erase Concepts, KSampler, Save Latent."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pack.benchmarks.graphs import ERASE, ERASE_NODE, REPORT
from pack.benchmarks.host.base import PACK_ROOT, link
from pack.benchmarks.host.client import Graph, PromptFailed
from pack.benchmarks.host.places import comfy_root
from pack.benchmarks.host.server import Server
from pack.tests.host.encoders import WIDTH
from pack.tests.host.transformers import KINDS

NAMED = ("a red cat in the style of van gogh", "painting of a cat")
OTHERS = ("a red house", "the tulip by van gogh")
LATENTS = {
    "pixart": ("EmptyLatentImage", {"width": 512, "height": 512, "batch_size": 1}),
    "wan": ("EmptyHunyuanLatentVideo", {"width": 64, "height": 64, "length": 1, "batch_size": 1}),
    "ltxv": ("EmptyLTXVLatentVideo", {"width": 128, "height": 128, "length": 1, "batch_size": 1}),
    "hunyuan dit": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
}
LARGE = {"hidream": ("EmptySD3LatentImage", {"width": 64, "height": 64, "batch_size": 1})}
"""Of models that the stock loaders know in one size alone."""
WIDTHS = {"hunyuan dit": 1024}  # of the encoder's states
SIZES: dict[str, dict[str, Any]] = {  # which the host's detection takes for granted, or reads from the file
    "pixart": {"hidden_size": 1152, "num_heads": 16, "depth": 1, "caption_channels": 4096},
    "wan": {"dim": 256, "num_heads": 2, "text_dim": 4096, "freq_dim": 256},
    "ltxv": {"num_attention_heads": 32, "attention_head_dim": 6, "cross_attention_dim": 192, "caption_channels": 4096},
    "hunyuan dit": {
        "hidden_size": 256, "num_heads": 16, "depth": 2, "mlp_ratio": 4.0, "text_states_dim": 1024,
        "text_states_dim_t5": 2048, "size_cond": False, "use_style_cond": False,
    },
}  # fmt: skip


def write(kind: str, folder: Path) -> str:
    """A small diffusion model of a family in a file that the stock loader opens."""
    family = KINDS[kind]
    config = family.model({**family.settings, **SIZES[kind]})
    config.unet_config |= family.settings | SIZES[kind]
    config.set_inference_dtype(torch.float32, None)
    model, generator = config.get_model({}, "", device=torch.device("cpu")), torch.Generator().manual_seed(3)
    content = {}
    for name, value in model.diffusion_model.state_dict().items():
        spread = 1 / math.sqrt(math.prod(value.shape[1:])) if value.ndim > 1 else 0.1
        content[name] = (spread * torch.randn(value.shape, generator=generator) + (value.ndim == 1)).half()
    file = folder / f"small-{kind}.safetensors"
    save_file(content, file)
    return file.name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the models, and a node for encoders that are small enough."""
    running = Server(comfy_root(), tmp_path_factory.mktemp("transformers"))
    models = running.base / "models" / "diffusion_models"
    models.mkdir(parents=True)
    for kind in LATENTS:
        write(kind, models)
    link(Path(__file__).parent / "small_encoders", running.base / "custom_nodes" / "small_encoders")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCAPRE_CHECKOUT", str(PACK_ROOT))
        with running:
            yield running


def node(name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": name, "inputs": inputs}


def graph(kind: str, texts: tuple[str, ...], erase: dict[str, Any] | None = None, prefix: str = "plain") -> Graph:
    latent, sizes = (LATENTS | LARGE)[kind]
    found: Graph = {
        "model": node("UNETLoader", unet_name=f"small-{kind}.safetensors", weight_dtype="default"),
        "clip": node("SmallTextEncoder", kind=kind, width=WIDTHS.get(kind, 4096)),
        "negative": node("CLIPTextEncode", clip=["clip", 0], text=""),
        "latent": node(latent, **sizes),
    }
    if erase is not None:
        found[ERASE] = node(ERASE_NODE, model=["model", 0], clip=["clip", 0], **erase)
        found[REPORT] = node("PreviewAny", source=[ERASE, 2])
    for place, text in enumerate(texts):
        found[f"text-{place}"] = node("CLIPTextEncode", clip=["clip", 0], text=text)
        found[f"sample-{place}"] = node(
            "KSampler", model=["model" if erase is None else ERASE, 0], positive=[f"text-{place}", 0],
            negative=["negative", 0], latent_image=["latent", 0], seed=1, steps=2, cfg=3.0, sampler_name="euler",
            scheduler="normal", denoise=1.0,
        )  # fmt: skip
        found[f"save-{place}"] = node(
            "SaveLatent", samples=[f"sample-{place}", 0], filename_prefix=f"{kind}/{prefix}-{place}"
        )
    return found


def latents(server: Server, entry: dict[str, Any], count: int) -> list[torch.Tensor]:
    files = (entry["outputs"][f"save-{place}"]["latents"][0] for place in range(count))
    return [load_file(server.base / "output" / file["subfolder"] / file["filename"])["latent_tensor"] for file in files]


@pytest.mark.parametrize("kind", LATENTS)
def test_a_stock_graph_loses_the_name_and_little_else(server: Server, kind: str) -> None:
    """On random weights: each prompt with the name moves more than any without it, on average twice as far."""
    texts = (*NAMED, *OTHERS)
    before = latents(server, server.run(graph(kind, texts)), len(texts))
    erasing = {"concepts": "cat", "preserve": "house\ntulip\nart", "method": "auto"}
    entry = server.run(graph(kind, texts, erasing, "erased"))
    after = latents(server, entry, len(texts))
    moved = [float((b - a).norm() / a.norm()) for a, b in zip(before, after, strict=True)]
    assert all(latent.isfinite().all() for latent in after)
    named, others = moved[: len(NAMED)], moved[len(NAMED) :]
    assert min(named) > max(others) and sum(named) > 2 * sum(others), json.dumps(moved)
    report = "".join(entry["outputs"][REPORT]["text"])
    assert "cat" in report and "block 0" in report


def test_hidream_is_erased_from_in_a_graph_that_is_stock_but_for_the_loaders(server: Server) -> None:
    """Its real size is the only one that the stock loaders know, and its text enters in fifty places."""
    texts = (*NAMED, *OTHERS)

    def small(*given: Any) -> Graph:
        return graph("hidream", texts, *given) | {
            "model": node("SmallModel", kind="hidream"), "clip": node("SmallTextEncoder", kind="hidream", width=WIDTH),
        }  # fmt: skip

    before = latents(server, server.run(small()), len(texts))
    entry = server.run(small({"concepts": "cat", "preserve": "house\ntulip\nart", "method": "uce"}, "erased"))
    after = latents(server, entry, len(texts))
    moved = [float((b - a).norm() / a.norm()) for a, b in zip(before, after, strict=True)]
    assert min(moved[: len(NAMED)]) > max(moved[len(NAMED) :]), json.dumps(moved)
    report = "".join(entry["outputs"][REPORT]["text"])
    assert "layers of the language model: erased there, too (48 matrices)" in report and "block 31" in report


def test_the_encoder_of_another_family_is_refused_in_words(server: Server) -> None:
    wrong = graph("wan", ("a cat",), {"concepts": "cat"})
    wrong["clip"] = node("SmallTextEncoder", kind="pixart", width=4096)
    with pytest.raises(PromptFailed, match="Wan models read UMT5-XXL"):
        server.run(wrong)


@pytest.mark.parametrize(("kind", "size", "iterations"), [("pixart", 512, 1), ("wan", 64, 2)])
def test_a_transformer_is_trained_in_a_stock_graph(server: Server, kind: str, size: int, iterations: int) -> None:
    """PixArt is drawn no smaller, so it is trained less."""
    training: Graph = {
        "model": node("UNETLoader", unet_name=f"small-{kind}.safetensors", weight_dtype="default"),
        "clip": node("SmallTextEncoder", kind=kind, width=4096),
        "train": node(
            "ScaPreUnlearn", model=["model", 0], clip=["clip", 0], concepts="cat", preserve="house", preset="style",
            seed=0, strength=1.0, iterations=iterations, learning_rate=1e-3, rank=2, preview_every=0,
            steps=iterations + 1, first=1, size=size,
        ),
        "save": node("ScaPreSaveEdit", edit=["train", 1], filename_prefix=f"scapre/{kind}", include_names=True),
        "report": node("PreviewAny", source=["train", 2]),
    }  # fmt: skip
    entry = server.run(training)
    assert f"iterations {iterations}" in "".join(entry["outputs"]["report"]["text"])
    assert list((server.base / "output" / "scapre").glob(f"{kind}_*.safetensors"))
