"""Exported files in a real server: written by our node, used by stock nodes alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pack.benchmarks.graphs import ERASE, Sampling, text_to_image
from pack.benchmarks.host.base import add_checkpoint
from pack.benchmarks.host.client import Graph
from pack.benchmarks.host.server import Server
from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.concepts.concepts import parse_concepts
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.export import FORMATS, Options
from pack.scapre.methods.scapre.settings import PRESETS
from pack.scapre.progress import silent
from pack.scapre.request import Request
from pack.scapre.solve import solve_edit

PROMPT, CONCEPTS, PRESET = "a photo of a cat", "cat\nVincent van Gogh -> art", "objects-many"
SAMPLE, LATENT = "sample-0", "latent-file"
STEADY = 1e-5  # what two ways of adding the same float32 change differ by, after two steps of sampling


def latent_graph(checkpoint: str, prefix: str, **erase: Any) -> Graph:
    """Samples as the stock workflow does, and keeps the latent instead of a picture."""
    graph = text_to_image(checkpoint, [PROMPT], Sampling(size=64, steps=2), erase or None)
    kept = {key: node for key, node in graph.items() if not key.startswith(("decode", "save"))}
    save = {"class_type": "SaveLatent", "inputs": {"samples": [SAMPLE, 0], "filename_prefix": prefix}}
    return {**kept, LATENT: save}


def with_lora(graph: Graph, file: str) -> Graph:
    """The same with the stock LoRA loader before the sampler."""
    inputs = {"model": ["model", 0], "lora_name": file, "strength_model": 1.0}
    sampler = {**graph[SAMPLE], "inputs": graph[SAMPLE]["inputs"] | {"model": ["lora", 0]}}
    return {**graph, "lora": {"class_type": "LoraLoaderModelOnly", "inputs": inputs}, SAMPLE: sampler}


def export_graph(checkpoint: str, prefix: str, **inputs: Any) -> Graph:
    """Erases, and exports what was solved."""
    graph = latent_graph(checkpoint, "unused", concepts=CONCEPTS, preset=PRESET)
    asked = {"model": ["model", 0], "edit": [ERASE, 1], "filename_prefix": f"loras/{prefix}", **inputs}
    return {
        **{key: graph[key] for key in ("model", ERASE)},
        "export": {"class_type": "ScaPreExportEdit", "inputs": asked},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["export", 0]}},
    }


def latent(server: Server, graph: Graph) -> torch.Tensor:
    server.run(graph)
    prefix = graph[LATENT]["inputs"]["filename_prefix"]
    (path,) = (server.base / "output").glob(f"{prefix}_*.latent")
    return load_file(path)["latent_tensor"].double()


@pytest.fixture(scope="module")
def latents(server: Server, tiny_checkpoint: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Sampled without the edit, and with it."""
    name = tiny_checkpoint.name
    edited = latent_graph(name, "latents-edited", concepts=CONCEPTS, preset=PRESET)
    return latent(server, latent_graph(name, "latents-plain")), latent(server, edited)


@pytest.mark.parametrize(
    ("prefix", "inputs"),
    [
        ("whole", {"format": "lora", "rank": 2048, "dtype": "fp32"}),
        ("exact", {"format": "diff"}),
        ("usual", {"format": "lora"}),
        ("rough", {"format": "lora", "rank": 64}),
    ],
)
def test_stock_nodes_with_the_file_give_the_edits_latent_within_its_residual(
    server: Server, tiny_checkpoint: Path, latents: tuple[torch.Tensor, torch.Tensor], prefix: str,
    inputs: dict[str, Any],
) -> None:  # fmt: skip
    plain, edited = latents
    entry = server.run(export_graph(tiny_checkpoint.name, prefix, **inputs))
    report = "".join(entry["outputs"]["show"]["text"])
    residual = float(re.search(r"does not give\): (\S+)", report)[1])  # type: ignore[index]
    file = f"{prefix}_00001_.safetensors"
    assert file in report
    found = latent(server, with_lora(latent_graph(tiny_checkpoint.name, f"latents-{prefix}"), file))
    # A share r of the change is missing, so to first order a share r of its effect: twice that leaves room for the
    # directions that are missing to count more than those that are there.
    effect, missing = (edited - plain).norm(), (found - edited).norm()
    assert missing <= 2 * residual * effect + STEADY * edited.norm()
    if inputs.get("rank") == 64:
        assert missing > STEADY * edited.norm()  # else the comparison would not tell a file from another


@pytest.fixture(scope="module")
def solved(tiny_checkpoint: Path) -> tuple[Edit, dict[str, torch.Tensor]]:
    """What Erase Concepts should solve, from the file alone; and its change of each matrix by the file's names."""
    with Checkpoint(tiny_checkpoint) as checkpoint:
        request = Request(parse_concepts(CONCEPTS), settings=PRESETS[PRESET].settings)
        edit = solve_edit(encode_request(checkpoint.encoder(), request)[0], checkpoint, request)
        cpu = torch.device("cpu")
        return edit, {
            checkpoint.stored_name(name): edit.delta(name, checkpoint.read(name, cpu)) for name in edit.shapes
        }


def test_save_checkpoint_writes_the_edit_and_leaves_the_rest(
    server: Server, tiny_checkpoint: Path, solved: tuple[Edit, dict[str, torch.Tensor]]
) -> None:
    graph = latent_graph(tiny_checkpoint.name, "unused", concepts=CONCEPTS, preset=PRESET)
    for name, model in (("plain", "model"), ("edited", ERASE)):
        inputs = {"model": [model, 0], "clip": ["model", 1], "vae": ["model", 2], "filename_prefix": f"saved/{name}"}
        graph[name] = {"class_type": "CheckpointSave", "inputs": inputs}
    server.run({key: graph[key] for key in ("model", ERASE, "plain", "edited")})
    saved = server.base / "output" / "saved"
    plain, edited = (load_file(saved / f"{name}_00001_.safetensors") for name in ("plain", "edited"))
    source, (_, changes) = load_file(tiny_checkpoint), solved
    assert plain.keys() == edited.keys()
    assert {name for name in plain if not torch.equal(plain[name], edited[name])} == changes.keys()
    for name, change in changes.items():
        assert edited[name].shape == source[name].shape
        assert torch.equal(plain[name].float(), source[name].float())
        stored = (edited[name].double() - source[name].double() - change.double()).norm()
        eps = torch.finfo(edited[name].dtype).eps
        assert stored < eps * edited[name].double().norm() + 1e-4 * change.norm()


def test_the_edited_checkpoint_from_a_file_alone_is_the_same(
    server: Server, tiny_checkpoint: Path, latents: tuple[torch.Tensor, torch.Tensor], tmp_path: Path,
    solved: tuple[Edit, dict[str, torch.Tensor]],
) -> None:  # fmt: skip
    out = tmp_path / "edited-by-file.safetensors"
    with Checkpoint(tiny_checkpoint) as checkpoint:
        said = FORMATS["checkpoint"](solved[0], checkpoint, out, Options(), silent)
    found = latent(server, latent_graph(add_checkpoint(server.base, out), "latents-file"))
    plain, edited = latents
    assert (found - edited).norm() <= 2 * said.residual * (edited - plain).norm() + STEADY * edited.norm()
