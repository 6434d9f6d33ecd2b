"""Small checkpoint files of every family: the marks that a family is known by are real, everything else is tiny."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from pack.scapre.checkpoints.checkpoint import Checkpoint
from pack.scapre.edits.edit import Edit
from pack.scapre.encode import encode_request
from pack.scapre.methods.scapre.settings import Settings
from pack.scapre.solve import solve_edit
from pack.tests.worlds import Encoder, ask

# Blocks with attention in the released models, and transformers in each: input, middle, output.
SD = (dict.fromkeys((1, 2, 4, 5, 7, 8), 1), 1, dict.fromkeys(range(3, 12), 1))
SDXL = ({4: 2, 5: 2, 7: 10, 8: 10}, 10, {0: 10, 1: 10, 2: 10, 3: 2, 4: 2, 5: 2})
REFINER = (dict.fromkeys((4, 5, 7, 8), 4), 4, dict.fromkeys(range(3, 9), 4))
VEGA = ({4: 1, 5: 1, 7: 2, 8: 2}, 0, {0: 2, 1: 2, 2: 2, 3: 1, 4: 1, 5: 1})
SSD = ({4: 2, 5: 2, 7: 4, 8: 4}, 0, {0: 4, 1: 4, 2: 10, 3: 2, 4: 1, 5: 1})
KOALA = ({3: 2, 5: 5}, 0, {0: 5, 1: 5, 2: 2, 3: 2})

# Blocks, text width, channels, width of the vector; by the class ComfyUI knows them as.
KINDS = {
    "SD15": (SD, 768, 320, None),
    "SD20": (SD, 1024, 320, None),
    "SD21UnclipL": (SD, 1024, 320, 1536),
    "SD21UnclipH": (SD, 1024, 320, 2048),
    "SDXL": (SDXL, 2048, 320, 2816),
    "SSD1B": (SSD, 2048, 320, 2816),
    "Segmind_Vega": (VEGA, 2048, 320, 2816),
    "KOALA_700M": (KOALA, 2048, 320, 2816),
    "SDXLRefiner": (REFINER, 1280, 384, 2560),
}
ROWS = (24, 40)  # of keys and of values


def projection_names(kind: str) -> list[str]:
    """Names inside the UNet, in the model's order."""
    (inputs, middle, outputs), *_ = KINDS[kind]
    places = [(f"input_blocks.{n}.1", depth) for n, depth in inputs.items()]
    places += [("middle_block.1", middle)] + [(f"output_blocks.{n}.1", depth) for n, depth in outputs.items()]
    return [
        f"{place}.transformer_blocks.{t}.attn2.to_{part}.weight"
        for place, depth in places
        for t in range(depth)
        for part in "kv"
    ]


def tensors(
    kind: str = "SD15", prefix: str = "model.diffusion_model.", dtype: torch.dtype = torch.float16, seed: int = 0
) -> dict[str, torch.Tensor]:
    """The content of a file, in an order of its own."""
    _, width, channels, vector = KINDS[kind]
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {"input_blocks.0.0.weight": (channels, 4, 3, 3), "out.2.bias": (4,)}
    shapes |= {name: (ROWS["to_v" in name], width) for name in projection_names(kind)}
    if vector:
        shapes["label_emb.0.0.weight"] = (1, vector)
    values = {
        prefix + name: (torch.randn(shape, generator=generator) / shape[-1] ** 0.5).to(dtype)
        for name, shape in sorted(shapes.items())
    }
    return {**values, "first_stage_model.scale": torch.tensor(0.18215)}


def write(path: Path, content: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """Writes a checkpoint."""
    save_file(dict(content), path, metadata=dict(metadata or {"format": "pt"}))
    return path


def texts(checkpoint: Checkpoint) -> list[str]:
    """Names of the projections that read the text."""
    return [name for name, role in checkpoint.roles.items() if role.reads_text]


def edit_for(path: Path, names: str = "cat -> dog\nVincent van Gogh", settings: Settings | None = None) -> Edit:
    """An edit of a checkpoint, with made-up token states."""
    with Checkpoint(path) as checkpoint:
        width = checkpoint.read(texts(checkpoint)[0], torch.device("cpu")).shape[1]
        request = ask(names, settings or Settings())
        states, _ = encode_request(Encoder(width), request)
        return solve_edit(states, checkpoint, request)
